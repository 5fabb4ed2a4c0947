-- Where the budget of a run stands, and that of the day.
select r.max_tokens, r.max_cost_usd, r.counted_tokens, r.counted_cost_usd, r.reserved_tokens, r.reserved_cost_usd,
  r.unpriced_calls,
  d.counted_tokens, d.counted_cost_usd, d.reserved_tokens, d.reserved_cost_usd, d.unpriced_calls
from {schema}.campaign_runs r
left join {schema}.daily_spending d on d.day = (now() at time zone 'UTC')::date
where r.id = %(run_id)s
