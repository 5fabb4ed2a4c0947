-- Pauses a running run and logs why: for good, or until the next day (UTC), after which it may still be paused for good.
-- Its pending messages stay pending; those in flight stop before their next part.
-- moves campaign_runs: running -> paused
with paused as (
  update {schema}.campaign_runs r
  set status = 'paused', paused_at = coalesce(r.paused_at, now()), error_message = %(reason)s,
      resumes_at = case when %(until_tomorrow)s
        then (date_trunc('day', now() at time zone 'UTC') + interval '1 day') at time zone 'UTC' end
  where r.id = %(run_id)s
    and (r.status = 'running' or (r.status = 'paused' and r.resumes_at is not null and not %(until_tomorrow)s))
  returning r.id
), logged as (
  insert into {schema}.campaign_logs (run_id, step_name, level, message)
  select p.id, %(step)s, %(level)s, %(reason)s from paused p
)
select p.id from paused p
