-- Sets the budget of a paused run. Where it had none, what its messages have used so far is counted first.
update {schema}.campaign_runs r
set max_tokens = coalesce(%(max_tokens)s, r.max_tokens),
    max_cost_usd = coalesce(%(max_cost_usd)s, r.max_cost_usd),
    counted_tokens = case when o.limited then r.counted_tokens else (
      select coalesce(sum(coalesce(m.counted_tokens, m.ai_tokens_used)), 0)
      from {schema}.campaign_messages m where m.run_id = r.id
    ) end,
    counted_cost_usd = case when o.limited then r.counted_cost_usd else (
      select coalesce(sum(coalesce(m.counted_cost_usd, m.cost_usd)), 0)
      from {schema}.campaign_messages m where m.run_id = r.id
    ) end
from (
  select b.id, b.max_tokens is not null or b.max_cost_usd is not null as limited
  from {schema}.campaign_runs b
  where b.id = %(run_id)s and b.status = 'paused'
  for no key update
) o
where r.id = o.id
returning r.counted_tokens, r.counted_cost_usd, case when o.limited then 0 else (
  select count(*) from {schema}.campaign_messages m where m.run_id = r.id and m.claimed_at is not null
) end
