-- The parts of messages that were claimed, in order. Asked after the claim: one whose last holder returned it just before
-- is claimed as it stands then, while the snapshot of the claim may not have its parts yet.
select p.message_id, p.part_no, p.body, p.status
from {schema}.campaign_message_parts p
where p.message_id = any (%(message_ids)s)
order by p.message_id, p.part_no
