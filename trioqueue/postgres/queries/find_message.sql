-- One message, as lists of messages have it.
select m.id, m.run_id, l.client_name, coalesce(m.phone_normalized, m.phone_number), m.status, m.scheduled_at,
  m.retry_count, m.error_message, m.sent_at, m.updated_at
from {schema}.campaign_messages m
join {schema}.leads l on l.id = m.lead_id
where m.id = %(message_id)s
