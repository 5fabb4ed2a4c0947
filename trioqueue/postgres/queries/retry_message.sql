-- Makes a failed or skipped message pending again, due now, unless its run is over.
-- moves campaign_messages: failed, skipped -> pending
-- moves campaign_runs: completed -> running
select {schema}.retry_campaign_message(%(message_id)s)
