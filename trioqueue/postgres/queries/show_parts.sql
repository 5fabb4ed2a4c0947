-- The parts of a message as they stand in the send ledger.
select p.part_no, p.body, p.status, p.provider_message_id, p.error_message, p.intended_at, p.looked_up_at, p.sent_at
from {schema}.campaign_message_parts p
where p.message_id = %(message_id)s
order by p.part_no
