-- Commits that parts are about to leave, where the claim is held, the run is running, the lead has not opted out and no
-- person has taken the conversation over; where one of these is not so, it says which.
--
-- The message is locked, not only read: a rescue that takes it at the same time either sees this part as sending or
-- keeps it from being committed.
-- A part that is `sending` already is granted again only to the claim that meant to send it: its first commit was lost
-- with the connection, and nothing has left yet.
-- moves campaign_message_parts: planned, rejected -> sending
with told as (
  select r.*
  from jsonb_to_recordset(%(rows)s::jsonb) as r (message_id uuid, owner uuid, fence bigint, part_no integer)
  limit jsonb_array_length(%(rows)s::jsonb)
), held as materialized (
  select m.id, t.part_no, t.fence,
    case
      when r.status <> 'running' then 'run_stopped'
      when l.status = 'opted_out' then 'opted_out'
      when c.taken_over_at is not null then 'taken_over'
    end as refusal
  from told t
  join {schema}.campaign_messages m on m.id = t.message_id
  join {schema}.campaign_runs r on r.id = m.run_id
  join {schema}.leads l on l.id = m.lead_id
  left join {schema}.conversations c on c.id = m.conversation_id
  where m.claimed_by = t.owner and m.claim_fence = t.fence and m.status = 'sending'
  for no key update of m
), intended as (
  update {schema}.campaign_message_parts p
  set status = 'sending',
      claim_fence = h.fence,
      intended_at = case when p.status = 'sending' then p.intended_at else now() end,
      error_message = null
  from held h
  where h.refusal is null
    and p.message_id = h.id
    and p.part_no = h.part_no
    and (p.status in ('planned', 'rejected') or (p.status = 'sending' and p.claim_fence = h.fence))
  returning p.message_id
)
select h.id, h.refusal from held h where h.refusal is not null or h.id in (select i.message_id from intended i)
