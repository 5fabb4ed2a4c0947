-- Removes some of what has been over for so many days.
select {schema}.prune_campaign_run(%(days)s, %(limit)s)
