-- Cancels a run and logs it. Those of its messages that nobody holds are skipped after this is committed.
-- moves campaign_runs: running, paused -> cancelled
with cancelled as (
  update {schema}.campaign_runs r
  set status = 'cancelled', paused_at = null, completed_at = now()
  where r.id = %(run_id)s and r.status in ('running', 'paused')
  returning r.id
), logged as (
  insert into {schema}.campaign_logs (run_id, step_name, level, message)
  select c.id, 'FINALIZAÇÃO', 'warning', 'run cancelled' from cancelled c
)
select c.id from cancelled c
