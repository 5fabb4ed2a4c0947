-- What the current role lacks of what a worker does; the same as schema/worker_role.sql grants.
with schema as (
  select n.oid, has_schema_privilege(n.oid, 'usage') as usable
  from pg_catalog.pg_namespace n
  where n.nspname = %(schema)s
),
tables as (
  select c.oid, c.relname
  from schema s
  join pg_catalog.pg_class c on c.relnamespace = s.oid
  where c.relkind in ('r', 'p')
),
wanted (privilege, relname) as (
  select 'select', t.relname from tables t
  union all
  select 'update', unnest(array[
    'campaign_runs', 'campaign_messages', 'campaign_message_parts', 'conversations', 'workers', 'model_gates',
    'daily_spending', 'model_prices'])
  union all
  select 'insert', unnest(array[
    'campaign_message_parts', 'campaign_logs', 'conversations', 'workers', 'model_gates', 'daily_spending',
    'model_prices'])
  union all
  select 'delete', unnest(array['workers', 'model_gates'])
)
select format('usage on schema %%I', %(schema)s) from schema s where not s.usable
union all
select format('%%s on %%I', w.privilege, w.relname)
from wanted w
join tables t using (relname)
where not has_table_privilege(t.oid, w.privilege)
union all
select format('usage on sequence %%I', c.relname)
from schema s
join pg_catalog.pg_class c on c.relnamespace = s.oid
where case when c.relkind = 'S' then not has_sequence_privilege(c.oid, 'usage') end
union all
select format('execute on function %%I', p.proname)
from schema s
join pg_catalog.pg_proc p on p.pronamespace = s.oid
where not has_function_privilege(p.oid, 'execute')
