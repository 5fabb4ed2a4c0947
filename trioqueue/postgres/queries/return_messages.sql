-- Gives messages back: requeue, snooze or release. The delay counts from the database's clock. Messages of a run that
-- was cancelled meanwhile are skipped instead.
-- moves campaign_messages: generating, sending -> pending, skipped
select {schema}.return_campaign_messages(%(rows)s::jsonb)
