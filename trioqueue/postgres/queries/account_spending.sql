-- Counts what messages have spent, and reserves what their next calls may cost where their runs' budgets and the day's
-- allow it. The first statement of its transaction: it locks what the others lock besides, in the order of all.
select message_id, answer
from {schema}.account_campaign_spending(%(rows)s::jsonb, %(message_ids)s::uuid[], %(run_ids)s::uuid[],
  %(max_tokens_per_day)s::bigint, %(max_cost_per_day)s::numeric, %(prices)s::jsonb)
