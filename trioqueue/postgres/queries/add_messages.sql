-- One pending message a staged lead, due now, in the order of the file.
insert into {schema}.campaign_messages (run_id, lead_id, phone_number, phone_normalized, conversation_id)
select %(run_id)s, l.id, s.primary_phone, s.phone_normalized, c.id
from staged_leads s
join {schema}.leads l on l.workspace_id = %(workspace_id)s and l.phone_normalized = s.phone_normalized
join {schema}.conversations c on c.workspace_id = %(workspace_id)s and c.contact_phone = s.phone_normalized
order by s.place
