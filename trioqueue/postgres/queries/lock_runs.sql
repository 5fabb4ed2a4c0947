-- Locks runs in the order of their ids, before statements that each lock some of them: two transactions that end
-- messages of the same runs wait for each other instead of in a circle.
select from {schema}.campaign_runs r
where r.id in (select t.run_id from jsonb_to_recordset(%(rows)s::jsonb) as t (run_id uuid))
order by r.id
for no key update
