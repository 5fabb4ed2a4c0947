-- Gives messages back: requeue, snooze or release. The delay counts from the database's clock.
-- moves campaign_messages: generating, sending -> pending
update {schema}.campaign_messages m
set status = 'pending',
    scheduled_at = case when r.delay is null then m.scheduled_at else now() + make_interval(secs => r.delay) end,
    retry_count = r.retry_count,
    error_message = coalesce(r.error, m.error_message),
    ai_tokens_used = coalesce(r.tokens, m.ai_tokens_used),
    cost_usd = coalesce(r.cost_usd, m.cost_usd),
    claimed_by = null,
    claimed_at = null,
    updated_at = now()
from jsonb_to_recordset(%(rows)s::jsonb) as r (message_id uuid, owner uuid, fence bigint, delay double precision,
                                               retry_count integer, error text, tokens integer, cost_usd numeric)
where m.id = r.message_id
  and m.claimed_by = r.owner
  and m.claim_fence = r.fence
  and m.status in ('generating', 'sending')
returning m.id
