-- Skips messages of a cancelled run that nobody holds, %(limit)s at most.
-- moves campaign_messages: pending, queued -> skipped
select {schema}.skip_cancelled_campaign_messages(%(run_id)s, %(limit)s)
