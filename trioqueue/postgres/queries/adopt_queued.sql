-- Makes pending what other programs wrote as queued.
-- moves campaign_messages: queued -> pending
update {schema}.campaign_messages m
set status = 'pending', updated_at = now()
from {schema}.campaign_runs r
where m.status = 'queued' and r.id = m.run_id and r.status = 'running'
