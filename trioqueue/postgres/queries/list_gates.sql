-- The models of an account, or of all, that are left alone, and for how many seconds still.
select g.model, extract(epoch from g.shut_until - clock_timestamp())::float8, g.cause, g.reason, g.trips, g.prober
from {schema}.model_gates g
where g.account = coalesce(%(account)s, g.account)
order by g.model
