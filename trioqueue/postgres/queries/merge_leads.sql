-- The same phone in a workspace is one lead: what an import says is kept, what it leaves out stays.
-- In the order of the phones, as in open_run_conversations: two imports of the same people wait for each other instead
-- of in a circle.
insert into {schema}.leads as l
  (workspace_id, client_name, company, primary_email, primary_phone, phone_normalized, primary_website, custom_fields)
select %(workspace_id)s, s.client_name, s.company, s.primary_email, s.primary_phone, s.phone_normalized,
  s.primary_website, s.custom_fields
from staged_leads s
order by s.phone_normalized
on conflict (workspace_id, phone_normalized) do update
set client_name = coalesce(excluded.client_name, l.client_name),
    company = coalesce(excluded.company, l.company),
    primary_email = coalesce(excluded.primary_email, l.primary_email),
    primary_phone = coalesce(excluded.primary_phone, l.primary_phone),
    primary_website = coalesce(excluded.primary_website, l.primary_website),
    custom_fields = l.custom_fields || excluded.custom_fields,
    updated_at = now()
