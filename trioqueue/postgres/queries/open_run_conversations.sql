-- One conversation a workspace and phone; one that is there already is this run's from now on.
insert into {schema}.conversations (workspace_id, lead_id, contact_phone, campaign_run_id)
select l.workspace_id, l.id, l.phone_normalized, %(run_id)s
from staged_leads s
join {schema}.leads l on l.workspace_id = %(workspace_id)s and l.phone_normalized = s.phone_normalized
order by s.phone_normalized
on conflict (workspace_id, contact_phone) do update
set campaign_run_id = excluded.campaign_run_id, lead_id = excluded.lead_id
