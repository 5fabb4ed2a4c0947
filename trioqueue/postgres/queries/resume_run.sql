-- Resumes a paused run; its pending messages are due as much later as it was paused.
-- moves campaign_runs: paused -> running
select {schema}.resume_campaign_run(%(run_id)s)
