-- Takes parts of unknown fate that the gateway may be asked about, %(limit)s at most, those never asked about first.
-- Nobody else is given them for as long as it takes to ask: the first look comes a minute after the message became
-- unconfirmed, when a request that was still on its way has ended, and each further one after twice the time.
with due as materialized (
  select p.message_id, p.part_no
  from {schema}.campaign_messages m
  join {schema}.campaign_message_parts p on p.message_id = m.id
  where m.status = 'unconfirmed'
    and p.status = 'unknown'
    and m.conversation_id is not null
    and m.updated_at <= now() - interval '1 minute'
    and (p.looked_up_at is null
         or p.looked_up_at + greatest(interval '1 minute', p.looked_up_at - m.updated_at) <= now())
  order by p.looked_up_at nulls first
  limit %(limit)s
  for no key update of p skip locked
)
update {schema}.campaign_message_parts p
set looked_up_at = now()
from due d
join {schema}.campaign_messages m on m.id = d.message_id
where p.message_id = d.message_id and p.part_no = d.part_no
returning p.message_id, p.part_no, coalesce(p.claim_fence, 0), m.conversation_id, p.body, p.idempotency_key,
  coalesce(p.intended_at, m.updated_at)
