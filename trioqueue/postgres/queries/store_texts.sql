-- Stores generated texts before anything else is done with them, so that none is paid for twice.
-- moves campaign_messages: generating -> generating
with told as (
  select r.*
  from jsonb_to_recordset(%(rows)s::jsonb) as r (message_id uuid, owner uuid, fence bigint, text text, model text,
                                                 tokens integer, cost_usd numeric, time_ms integer)
  limit jsonb_array_length(%(rows)s::jsonb)
)
update {schema}.campaign_messages m
set generated_message = r.text,
    ai_model = r.model,
    ai_tokens_used = r.tokens,
    cost_usd = r.cost_usd,
    ai_generation_time_ms = r.time_ms,
    updated_at = now()
from told r
where m.id = r.message_id
  and m.claimed_by = r.owner
  and m.claim_fence = r.fence
  and m.status = 'generating'
returning m.id
