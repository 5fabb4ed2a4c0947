-- Runs with how far they are, the newest first; one run when %(run_id)s names it.
select r.id, g.name, r.status, r.error_message, r.leads_total, r.leads_processed, r.leads_success, r.leads_failed,
  r.leads_skipped,
  (select count(*) from {schema}.campaign_messages m where m.run_id = r.id and m.claimed_at is not null),
  (select min(m.scheduled_at) from {schema}.campaign_messages m where m.run_id = r.id and m.status = 'pending'),
  r.started_at, r.completed_at,
  r.max_tokens, r.max_cost_usd, r.counted_tokens, r.counted_cost_usd, r.reserved_tokens, r.reserved_cost_usd,
  r.unpriced_calls, r.resumes_at, r.pruned_at
from {schema}.campaign_runs r
join {schema}.campaign_configs g on g.id = r.config_id
where r.id = %(run_id)s or %(run_id)s::uuid is null
order by r.started_at desc
limit %(limit)s
