-- Stores the parts of messages with their final texts. Parts that are there already stay as they are.
-- moves campaign_messages: generating, sending -> sending
-- moves campaign_message_parts: -> planned
with told as (
  select r.*
  from jsonb_to_recordset(%(rows)s::jsonb) as r (message_id uuid, owner uuid, fence bigint, bodies jsonb,
                                                 tokens integer, cost_usd numeric, time_ms integer)
  limit jsonb_array_length(%(rows)s::jsonb)
), held as (
  update {schema}.campaign_messages m
  set status = 'sending',
      ai_tokens_used = t.tokens,
      cost_usd = t.cost_usd,
      ai_split_time_ms = coalesce(t.time_ms, m.ai_split_time_ms),
      updated_at = now()
  from told t
  where m.id = t.message_id
    and m.claimed_by = t.owner
    and m.claim_fence = t.fence
    and m.status in ('generating', 'sending')
  returning m.id, t.bodies
), planned as (
  insert into {schema}.campaign_message_parts (message_id, part_no, body, idempotency_key)
  select h.id, b.part_no, b.body, h.id || ':' || b.part_no
  from held h
  cross join lateral jsonb_array_elements_text(h.bodies) with ordinality as b (body, part_no)
  on conflict (message_id, part_no) do nothing
)
select h.id from held h
