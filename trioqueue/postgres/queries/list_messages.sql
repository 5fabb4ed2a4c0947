-- Messages of a run, the last changed first. For people: all of the run are read.
select m.id, m.run_id, l.client_name, coalesce(m.phone_normalized, m.phone_number), m.status, m.scheduled_at,
  m.retry_count, m.error_message, m.sent_at, m.updated_at
from {schema}.campaign_messages m
join {schema}.leads l on l.id = m.lead_id
where m.run_id = %(run_id)s
  and (m.status = %(status)s or %(status)s::text is null)
order by m.updated_at desc, m.id
limit %(limit)s
