-- Gives claimed messages that came without a conversation the one of their phone number, made where there is none.
with homeless as (
  select m.id, m.run_id, m.lead_id, g.workspace_id, coalesce(m.phone_normalized, l.phone_normalized) as phone
  from {schema}.campaign_messages m
  join {schema}.campaign_runs r on r.id = m.run_id
  join {schema}.campaign_configs g on g.id = r.config_id
  join {schema}.leads l on l.id = m.lead_id
  where m.id = any (%(message_ids)s) and m.claimed_by = %(owner)s
), opened as (
  insert into {schema}.conversations (workspace_id, lead_id, contact_phone, campaign_run_id)
  select distinct on (h.workspace_id, h.phone) h.workspace_id, h.lead_id, h.phone, h.run_id
  from homeless h
  where h.phone is not null
  order by h.workspace_id, h.phone
  on conflict (workspace_id, contact_phone) do update set campaign_run_id = excluded.campaign_run_id
  returning id, workspace_id, contact_phone, taken_over_at
)
update {schema}.campaign_messages m
set conversation_id = o.id
from homeless h
join opened o on o.workspace_id = h.workspace_id and o.contact_phone = h.phone
where m.id = h.id
returning m.id, m.conversation_id, o.taken_over_at is not null
