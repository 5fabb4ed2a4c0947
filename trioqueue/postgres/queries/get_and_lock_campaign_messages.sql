-- Claims due messages of running runs, in turn, and brings all that is needed to write them.
--
-- One short probe a running run, each with its own limit: the cost grows with what is claimed, not with the backlog.
-- Runs take turns in the order of their ids from the one after %(after_run)s, and each gives its share at most (an
-- equal one when %(share)s is null), so a run with a million messages does not starve one with ten. A run of which all
-- models are avoided gives nothing. 'pending' stands here literally because a bound value cannot prove the partial
-- index in a generic plan; `materialized` keeps the limit from being executed twice.
-- moves campaign_messages: pending -> generating
with running as (
  (select r.id from {schema}.campaign_runs r where r.status = 'running' and r.id > %(after_run)s order by r.id)
  union all
  (select r.id from {schema}.campaign_runs r where r.status = 'running' and r.id <= %(after_run)s order by r.id)
), equal_share as (
  select ceil(%(count)s::numeric / greatest(1, count(*)))::integer as size
  from (select from {schema}.campaign_runs r where r.status = 'running' limit %(count)s) r
), due as materialized (
  select m.id
  from running r
  cross join lateral (
    select m.id
    from {schema}.campaign_messages m
    where m.run_id = r.id and m.status = 'pending' and m.scheduled_at <= now()
    order by m.scheduled_at
    limit coalesce(%(share)s::integer, (select e.size from equal_share e))
    for update of m skip locked
  ) m
  where cardinality(%(avoided)s::text[]) = 0 or not exists (
    select from {schema}.campaign_runs a
    join {schema}.campaign_configs g on g.id = a.config_id
    where a.id = r.id
      and array_append(coalesce(g.fallback_models, %(fallback_models)s::text[]), g.ai_model) <@ %(avoided)s::text[]
  )
  limit %(count)s
), claimed as (
  update {schema}.campaign_messages m
  set status = 'generating',
      claimed_by = %(owner)s,
      claimed_at = now(),
      claim_fence = m.claim_fence + 1,
      updated_at = now()
  where m.id = any (array(select d.id from due d))
  returning m.id, m.run_id, m.lead_id, m.claim_fence, m.phone_normalized, m.conversation_id, m.retry_count,
    m.generated_message, m.ai_model, m.ai_tokens_used, m.cost_usd, m.send_time_ms,
    m.counted_tokens, m.counted_cost_usd
)
select c.id, c.run_id, c.lead_id, c.claim_fence, c.conversation_id, c.retry_count, c.generated_message,
  coalesce(c.ai_tokens_used, 0), coalesce(c.cost_usd, 0), coalesce(c.send_time_ms, 0),
  g.ai_model, g.ai_instructions, g.split_messages, g.max_split_parts,
  coalesce(g.fallback_models, %(fallback_models)s::text[]),
  l.context,
  case when p.status = 'opted_out' then 'opted_out' when v.taken_over_at is not null then 'taken_over' end,
  %(daily)s or r.max_tokens is not null or r.max_cost_usd is not null,
  coalesce(c.counted_tokens, c.ai_tokens_used, 0), coalesce(c.counted_cost_usd, c.cost_usd, 0),
  case when %(daily)s or r.max_cost_usd is not null then (
    select y.usd_per_token from {schema}.model_prices y where y.model = g.ai_model order by y.day desc limit 1
  ) end
from claimed c
join {schema}.campaign_runs r on r.id = c.run_id
join {schema}.campaign_configs g on g.id = r.config_id
join {schema}.get_leads_full_context(array(select distinct d.lead_id from claimed d)) l on l.lead_id = c.lead_id
join {schema}.leads p on p.id = c.lead_id
left join {schema}.conversations v on v.id = c.conversation_id
