-- Skips messages of running runs that were due more than %(age)s seconds ago, %(limit)s at most.
-- moves campaign_messages: pending -> skipped
select {schema}.mark_old_campaign_messages_as_skipped(now() - make_interval(secs => %(age)s), %(limit)s)
