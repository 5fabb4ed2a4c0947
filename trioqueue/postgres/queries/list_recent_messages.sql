-- Messages of any run, the last changed first, for people; a row of nulls when there are none. No index knows when a
-- message was changed (it would cost every update of a worker more than this is worth), so the look is bounded: at 10,000
-- messages of the newest runs, and at as many in a state that has an index of its own. The last column is how many of
-- the newest runs were looked at where there are more. The number is a literal, for the sake of generic plans.
with looked as materialized (
  select m.id, m.status, m.updated_at
  from (select r.id from {schema}.campaign_runs r order by r.started_at desc) r
  cross join lateral (
    select m.id, m.status, m.updated_at
    from {schema}.campaign_messages m
    where m.run_id = r.id
    limit 10000
  ) m
  limit 10000
),
indexed as (
  (
    select m.id, m.updated_at
    from {schema}.campaign_messages m
    where m.status = 'unconfirmed' and %(status)s::text = 'unconfirmed'
    limit 10000
  )
  union all
  (
    select m.id, m.updated_at
    from {schema}.campaign_messages m
    where m.claimed_at is not null and m.status = %(status)s::text
    limit 10000
  )
  union all
  (
    select m.id, m.updated_at
    from {schema}.campaign_messages m
    where m.status = 'queued' and %(status)s::text = 'queued'
    limit 10000
  )
  union all
  (
    select m.id, m.updated_at
    from {schema}.campaign_messages m
    where m.status = 'pending' and %(status)s::text = 'pending'
    limit 10000
  )
),
found as materialized (
  select l.id, l.updated_at from looked l where l.status = %(status)s::text or %(status)s::text is null
  union
  select i.id, i.updated_at from indexed i
  order by updated_at desc, id
  limit %(limit)s
)
select m.*, (select case when count(*) >= 10000 then count(*) end from looked) as bounded_at
from (values (true)) one (row)
left join (
  found f
  cross join lateral (
    select m.id, m.run_id, l.client_name, coalesce(m.phone_normalized, m.phone_number), m.status, m.scheduled_at,
      m.retry_count, m.error_message, m.sent_at, m.updated_at
    from {schema}.campaign_messages m
    join {schema}.leads l on l.id = m.lead_id
    where m.id = f.id
    limit 1
  ) m
) on true
order by m.updated_at desc, m.id
