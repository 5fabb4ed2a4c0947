-- Moves messages to a final state, counts them and completes their runs.
-- moves campaign_messages: sending -> sent, failed, skipped, unconfirmed
-- moves campaign_messages: generating -> failed, skipped
select {schema}.finish_campaign_messages(%(rows)s::jsonb)
