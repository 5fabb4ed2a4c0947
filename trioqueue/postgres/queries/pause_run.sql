-- Pauses a running run and logs why. Its pending messages stay pending; those in flight stop before their next part.
-- moves campaign_runs: running -> paused
with paused as (
  update {schema}.campaign_runs r
  set status = 'paused', paused_at = now(), error_message = %(reason)s
  where r.id = %(run_id)s and r.status = 'running'
  returning r.id
), logged as (
  insert into {schema}.campaign_logs (run_id, step_name, level, message)
  select p.id, %(step)s, %(level)s, %(reason)s from paused p
)
select p.id from paused p
