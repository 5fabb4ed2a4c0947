-- The heartbeat: one row a worker process, never a write a message. By the database's clock.
--
-- It also looks ahead, so that an idle worker needs no other statement: seconds until the next message is due, and until
-- something is to be done for all workers; null is never. Claims of the worker itself count after a minute, as in the
-- rescue. One short probe a running run, like the claim.
with beaten as (
  insert into {schema}.workers (incarnation, host, pid, lease)
  values (%(incarnation)s, %(host)s, %(pid)s, make_interval(secs => %(lease)s))
  on conflict (incarnation) do update set beat_at = now()
), due as (
  select min(m.scheduled_at) as at
  from {schema}.campaign_runs r
  cross join lateral (
    select m.scheduled_at
    from {schema}.campaign_messages m
    where m.run_id = r.id and m.status = 'pending'
    order by m.scheduled_at
    limit 1
  ) m
  where r.status = 'running'
), claimed as (
  select m.claimed_by, min(m.claimed_at) as since
  from {schema}.campaign_messages m
  where m.claimed_at is not null
  group by m.claimed_by
), abandoned as (
  select min(case
    when c.claimed_by = %(incarnation)s then c.since + interval '1 minute'
    else coalesce(w.beat_at + w.lease, now())
  end) as at
  from claimed c
  left join {schema}.workers w on w.incarnation = c.claimed_by
), queued as (
  select now() as at
  where exists (
    select from {schema}.campaign_messages m
    join {schema}.campaign_runs r on r.id = m.run_id
    where m.status = 'queued' and r.status = 'running'
  )
), resuming as (
  select min(r.resumes_at) as at
  from {schema}.campaign_runs r
  where r.status = 'paused' and r.resumes_at is not null
)
select
  extract(epoch from (select d.at from due d) - now())::float8,
  extract(epoch from least(
    (select a.at from abandoned a), (select q.at from queued q), (select u.at from resuming u)
  ) - now())::float8
