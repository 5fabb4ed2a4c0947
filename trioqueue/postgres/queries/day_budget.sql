-- What counts against the budget of the day so far.
select d.counted_tokens, d.counted_cost_usd, d.reserved_tokens, d.reserved_cost_usd, d.unpriced_calls
from {schema}.daily_spending d
where d.day = (now() at time zone 'UTC')::date
