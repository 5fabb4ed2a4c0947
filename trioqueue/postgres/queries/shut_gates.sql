-- Tells that models are to be left alone. A later end stays; a probe that was under way is given back. Rows that nobody
-- has needed for a day are those of accounts that are no longer used.
with told as (
  select g.model, g.cause, g.reason, g.trips, now() + make_interval(secs => g.seconds) as shut_until
  from jsonb_to_recordset(%(rows)s::jsonb) as g (model text, cause text, reason text, trips integer, seconds float8)
), unused as (
  delete from {schema}.model_gates g
  where g.shut_until < now() - interval '1 day' and g.model <> all (array(select t.model from told t))
)
insert into {schema}.model_gates as g (account, model, cause, reason, trips, shut_until)
select %(account)s, t.model, t.cause, t.reason, t.trips, t.shut_until
from told t
order by t.model
on conflict (account, model) do update
set cause = excluded.cause,
    reason = excluded.reason,
    trips = excluded.trips,
    shut_until = greatest(g.shut_until, excluded.shut_until),
    prober = null,
    probe_until = null
