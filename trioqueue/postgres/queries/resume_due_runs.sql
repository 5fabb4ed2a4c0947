-- Lets runs go on that were paused until the next day's budget. Their messages count as due now: none is skipped for
-- having waited.
-- moves campaign_runs: paused -> running
with resumed as (
  update {schema}.campaign_runs r
  set status = 'running', paused_at = null, error_message = null, resumes_at = null, resumed_at = now()
  where r.status = 'paused' and r.resumes_at <= now()
  returning r.id
), logged as (
  insert into {schema}.campaign_logs (run_id, step_name, level, message)
  select u.id, 'INICIALIZAÇÃO', 'info', 'run resumed: another day, another budget' from resumed u
)
select count(*) from resumed
