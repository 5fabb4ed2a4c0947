-- Stores what came of sending parts.
-- moves campaign_message_parts: sending -> planned, sent, rejected, unknown
with told as (
  select r.*
  from jsonb_to_recordset(%(rows)s::jsonb) as r (message_id uuid, owner uuid, fence bigint, part_no integer,
                                                 status text, provider_message_id text, error text,
                                                 send_time_ms integer)
  limit jsonb_array_length(%(rows)s::jsonb)
), held as (
  update {schema}.campaign_messages m
  set send_time_ms = t.send_time_ms, updated_at = now()
  from told t
  where m.id = t.message_id and m.claimed_by = t.owner and m.claim_fence = t.fence and m.status = 'sending'
  returning m.id, t.part_no, t.status, t.provider_message_id, t.error
), settled as (
  update {schema}.campaign_message_parts p
  set status = h.status,
      provider_message_id = h.provider_message_id,
      error_message = h.error,
      sent_at = case when h.status = 'sent' then now() end
  from held h
  where p.message_id = h.id and p.part_no = h.part_no and p.status = 'sending'
)
select h.id from held h
