-- A table of this transaction alone, into which leads are copied before they are merged.
create temporary table staged_leads (
  place integer generated always as identity,
  client_name text,
  company text,
  primary_email text,
  primary_phone text,
  phone_normalized text,
  primary_website text,
  custom_fields jsonb
) on commit drop
