-- The tables, indexes and functions of trioqueue.
--
-- Run by `trioqueue migrate` in one transaction with search_path set to the chosen schema and pg_temp, so that no
-- name here says where it lives; functions keep that path (`set search_path from current`). No triggers: then the
-- same schema can be distributed by Citus. Foreign keys stay within the schema.

create table leads (
  id uuid default gen_random_uuid(),
  workspace_id uuid not null,
  client_name text,
  company text,
  primary_email text,
  primary_phone text,
  phone_normalized text check (phone_normalized ~ '^\+[1-9][0-9]{6,14}$'),
  primary_website text,
  deal_value numeric(14, 2),
  tags text[] not null default '{}',
  custom_fields jsonb not null default '{}' check (jsonb_typeof(custom_fields) = 'object'),
  status text not null default 'active',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- One index serves as primary key and as the covering index of the context query: a second one on the same
  -- column would cost every insert and never be chosen over the smaller key.
  constraint idx_leads_id_for_context primary key (id)
    include (client_name, primary_email, primary_phone, primary_website)
);

create unique index idx_leads_workspace_phone on leads (workspace_id, phone_normalized);

create table campaign_configs (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null,
  name text not null check (name <> ''),
  ai_model text not null check (ai_model <> ''),
  ai_instructions text not null,
  split_messages boolean not null default true,
  max_split_parts integer not null default 3 check (max_split_parts between 1 and 5),
  min_interval_seconds integer not null default 0 check (min_interval_seconds >= 0),
  max_interval_seconds integer not null default 0,
  start_time time,
  end_time time,
  timezone text not null default 'America/Sao_Paulo',
  daily_limit integer check (daily_limit > 0),
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  check (max_interval_seconds >= min_interval_seconds)
);

create table campaign_runs (
  id uuid primary key default gen_random_uuid(),
  config_id uuid not null references campaign_configs,
  status text not null default 'running'
    check (status in ('running', 'paused', 'completed', 'cancelled', 'failed')),
  run_date date not null default current_date,
  leads_total integer not null default 0 check (leads_total >= 0),
  leads_processed integer not null default 0,
  leads_success integer not null default 0 check (leads_success >= 0),
  leads_failed integer not null default 0 check (leads_failed >= 0),
  leads_skipped integer not null default 0 check (leads_skipped >= 0),
  started_at timestamptz not null default now(),
  paused_at timestamptz,
  completed_at timestamptz,
  error_message text,
  check (leads_processed >= leads_success + leads_failed + leads_skipped),
  check ((status = 'paused') = (paused_at is not null)),
  check (status <> 'completed' or completed_at is not null)
) with (
  -- The counters change with every commit of the ledger and stand in no index: room on the page keeps these
  -- updates HOT, so that the claim's index on this table does not grow with them.
  fillfactor = 50
);

create index idx_campaign_runs_id_status on campaign_runs (id, status) where status = 'running';

create table conversations (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null,
  lead_id uuid references leads,
  contact_phone text not null,
  campaign_run_id uuid references campaign_runs,
  created_at timestamptz not null default now(),
  unique (workspace_id, contact_phone)
);

create table workers (
  incarnation uuid primary key,
  host text not null,
  pid integer not null,
  lease interval not null check (lease > interval '0'),
  started_at timestamptz not null default now(),
  beat_at timestamptz not null default now()
) with (
  -- One row a process, updated every few seconds in no indexed column: HOT for as long as the page has room.
  fillfactor = 50
);

create table campaign_messages (
  id uuid primary key default gen_random_uuid(),
  run_id uuid not null references campaign_runs,
  lead_id uuid not null references leads,
  phone_number text,
  phone_normalized text,
  status text not null default 'pending'
    check (status in ('queued', 'pending', 'generating', 'sending', 'sent', 'failed', 'skipped', 'unconfirmed',
                      'replied')),
  scheduled_at timestamptz not null default now(),
  retry_count integer not null default 0 check (retry_count between 0 and 3),
  error_message text,
  generated_message text check (generated_message <> ''),
  ai_model text,
  ai_tokens_used integer check (ai_tokens_used >= 0),
  ai_generation_time_ms integer check (ai_generation_time_ms >= 0),
  ai_split_time_ms integer check (ai_split_time_ms >= 0),
  send_time_ms integer check (send_time_ms >= 0),
  cost_usd numeric(14, 8) check (cost_usd >= 0),
  conversation_id uuid references conversations,
  provider_message_id text,
  sent_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  claimed_by uuid,
  claimed_at timestamptz,
  claim_fence bigint not null default 0 check (claim_fence >= 0),
  unique (run_id, lead_id),
  check ((status in ('generating', 'sending')) = (claimed_by is not null)),
  check ((claimed_by is null) = (claimed_at is null)),
  check (status not in ('sending', 'sent', 'unconfirmed') or generated_message is not null),
  check (status not in ('sent', 'replied') or sent_at is not null)
) with (
  -- A row changes state four times within seconds. No change of status is ever HOT (the status stands in the
  -- predicates of the partial indexes), but storing the text and the send's figures is, where the page has room.
  -- Vacuum comes after 1% of the table instead of 20%, and without its pauses: dead index entries at the front of
  -- the queue are what makes a claim slow.
  fillfactor = 70,
  autovacuum_vacuum_scale_factor = 0.01,
  autovacuum_vacuum_cost_delay = 0,
  autovacuum_analyze_scale_factor = 0.02
);

create index idx_campaign_messages_atomic_selection on campaign_messages (run_id, status, scheduled_at)
  where status = 'pending';

create index idx_campaign_messages_claimed on campaign_messages (run_id, claimed_by)
  where status in ('generating', 'sending');

create index idx_campaign_messages_queued on campaign_messages (run_id) where status = 'queued';

create index idx_campaign_messages_unconfirmed on campaign_messages (run_id) where status = 'unconfirmed';

create table campaign_message_parts (
  message_id uuid not null references campaign_messages on delete cascade,
  part_no integer not null check (part_no between 1 and 5),
  body text not null check (char_length(body) between 1 and 4096),
  status text not null default 'planned' check (status in ('planned', 'sending', 'sent', 'rejected', 'unknown')),
  idempotency_key text not null,
  claim_fence bigint,
  provider_message_id text,
  error_message text,
  sent_at timestamptz,
  primary key (message_id, part_no),
  check ((status = 'sent') = (sent_at is not null))
) with (
  -- planned, sending, sent within seconds, and no index holds the status: HOT where the page has room.
  fillfactor = 70,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_cost_delay = 0
);

create table campaign_logs (
  id bigint generated always as identity primary key,
  run_id uuid not null,
  message_id uuid,
  lead_id uuid,
  step_name text not null
    check (step_name in ('INICIALIZAÇÃO', 'GERAÇÃO_IA', 'FRACIONAMENTO', 'ENVIO_WHATSAPP', 'RETRY', 'FINALIZAÇÃO',
                         'ERRO', 'RATE_LIMIT', 'TIMEOUT', 'CREDITOS_INSUFICIENTES', 'API_KEY_INVALIDA',
                         'MODELO_INDISPONIVEL', 'INSTANCE_SWITCH')),
  level text not null check (level in ('debug', 'info', 'success', 'warning', 'error')),
  message text not null,
  details jsonb,
  created_at timestamptz not null default now()
);

create index idx_campaign_logs_run on campaign_logs (run_id, id);

create function get_leads_full_context(p_lead_ids uuid[])
returns table (lead_id uuid, context jsonb)
language sql stable set search_path from current
begin atomic
  select l.id,
    jsonb_strip_nulls(jsonb_build_object(
      'client_name', l.client_name,
      'company', l.company,
      'primary_email', l.primary_email,
      'primary_phone', l.primary_phone,
      'primary_website', l.primary_website,
      'deal_value', l.deal_value,
      'tags', case when l.tags <> '{}' then to_jsonb(l.tags) end,
      'custom_fields', case when l.custom_fields <> '{}' then l.custom_fields end))
  from leads l
  where l.id = any (p_lead_ids);
end;

create function get_lead_full_context(p_lead_id uuid)
returns jsonb
language sql stable set search_path from current
begin atomic
  select c.context from get_leads_full_context(array[p_lead_id]) c;
end;

create function count_campaign_messages(p_run_ids uuid[], p_statuses text[], p_sign integer default 1)
returns void
language plpgsql set search_path from current
as $$
begin
  -- Rows are locked in one order by everyone, so that two workers that finish messages of the same two runs wait
  -- for each other instead of in a circle.
  perform from campaign_runs r where r.id = any (p_run_ids) order by r.id for no key update;

  update campaign_runs r
  set leads_processed = r.leads_processed + p_sign * c.processed,
      leads_success = r.leads_success + p_sign * c.success,
      leads_failed = r.leads_failed + p_sign * c.failed,
      leads_skipped = r.leads_skipped + p_sign * c.skipped
  from (
    select u.run_id,
      count(*) as processed,
      count(*) filter (where u.status = 'sent') as success,
      count(*) filter (where u.status = 'failed') as failed,
      count(*) filter (where u.status = 'skipped') as skipped
    from unnest(p_run_ids, p_statuses) as u (run_id, status)
    group by u.run_id
  ) c
  where r.id = c.run_id;
end;
$$;

create function complete_campaign_runs(p_run_ids uuid[])
returns setof uuid
language sql set search_path from current
begin atomic
  with completed as (
    update campaign_runs r
    set status = 'completed', completed_at = now(), error_message = null
    where r.id = any (p_run_ids)
      and r.status = 'running'
      and not exists (select from campaign_messages m where m.run_id = r.id and m.status = 'pending')
      and not exists (select from campaign_messages m where m.run_id = r.id and m.status in ('generating', 'sending'))
      and not exists (select from campaign_messages m where m.run_id = r.id and m.status = 'queued')
    returning r.id, r.leads_total, r.leads_processed, r.leads_success, r.leads_failed, r.leads_skipped
  ), logged as (
    insert into campaign_logs (run_id, step_name, level, message, details)
    select c.id, 'FINALIZAÇÃO', 'success', 'run completed',
      jsonb_build_object('leads_total', c.leads_total, 'leads_processed', c.leads_processed,
        'leads_success', c.leads_success, 'leads_failed', c.leads_failed, 'leads_skipped', c.leads_skipped)
    from completed c
  )
  select c.id from completed c;
end;

create function finish_campaign_messages(p_rows jsonb)
returns setof uuid
language plpgsql set search_path from current
as $$
declare
  v_message_ids uuid[];
  v_run_ids uuid[];
  v_statuses text[];
begin
  with finished as (
    update campaign_messages m
    set status = r.status,
        error_message = r.error_message,
        provider_message_id = coalesce(r.provider_message_id, m.provider_message_id),
        sent_at = case when r.status = 'sent' then now() end,
        ai_tokens_used = coalesce(r.tokens, m.ai_tokens_used),
        cost_usd = coalesce(r.cost_usd, m.cost_usd),
        claimed_by = null,
        claimed_at = null,
        updated_at = now()
    from jsonb_to_recordset(p_rows) as r (message_id uuid, owner uuid, fence bigint, status text, error_message text,
                                          provider_message_id text, tokens integer, cost_usd numeric)
    where m.id = r.message_id
      and m.claimed_by = r.owner
      and m.claim_fence = r.fence
      and (m.status = 'sending' or (m.status = 'generating' and r.status in ('failed', 'skipped')))
    returning m.id, m.run_id, m.status
  )
  select array_agg(f.id), array_agg(f.run_id), array_agg(f.status)
  into v_message_ids, v_run_ids, v_statuses
  from finished f;

  if v_message_ids is not null then
    perform count_campaign_messages(v_run_ids, v_statuses);
    -- A statement of its own: its snapshot is taken after the runs' rows were locked, so the last of two workers
    -- to finish sees what the other has committed.
    perform complete_campaign_runs(v_run_ids);
  end if;
  return query select unnest(v_message_ids);
end;
$$;

create function return_campaign_messages(p_rows jsonb)
returns setof uuid
language plpgsql set search_path from current
as $$
declare
  v_message_ids uuid[];
  v_skipped_runs uuid[];
begin
  -- The runs are locked before their state is read: a cancellation either waits until this is committed, and then
  -- finds the messages pending, or is seen here.
  perform from campaign_runs r
  where r.id in (select t.run_id from jsonb_to_recordset(p_rows) as t (run_id uuid))
  order by r.id for no key update;

  with returned as (
    update campaign_messages m
    set status = case when c.status = 'cancelled' then 'skipped' else 'pending' end,
        scheduled_at = case when r.delay is null then m.scheduled_at else now() + make_interval(secs => r.delay) end,
        retry_count = r.retry_count,
        error_message = coalesce(r.error, m.error_message),
        ai_tokens_used = coalesce(r.tokens, m.ai_tokens_used),
        cost_usd = coalesce(r.cost_usd, m.cost_usd),
        claimed_by = null,
        claimed_at = null,
        updated_at = now()
    from jsonb_to_recordset(p_rows) as r (message_id uuid, owner uuid, fence bigint, delay double precision,
                                          retry_count integer, error text, tokens integer, cost_usd numeric),
      campaign_runs c
    where m.id = r.message_id
      and m.claimed_by = r.owner
      and m.claim_fence = r.fence
      and m.status in ('generating', 'sending')
      and c.id = m.run_id
    returning m.id, m.run_id, m.status
  )
  select array_agg(t.id), array_agg(t.run_id) filter (where t.status = 'skipped')
  into v_message_ids, v_skipped_runs
  from returned t;

  if v_skipped_runs is not null then
    perform count_campaign_messages(v_skipped_runs, array_fill('skipped'::text, array[cardinality(v_skipped_runs)]));
  end if;
  return query select unnest(v_message_ids);
end;
$$;

create function skip_cancelled_campaign_messages(p_run_id uuid, p_limit integer)
returns integer
language plpgsql set search_path from current
as $$
declare
  v_count integer;
begin
  with waiting as materialized (
    select m.id
    from campaign_messages m
    join campaign_runs r on r.id = m.run_id
    where m.run_id = p_run_id and r.status = 'cancelled' and m.status in ('pending', 'queued')
    limit p_limit
    for update of m
  ), skipped as (
    update campaign_messages m
    set status = 'skipped', error_message = 'the run was cancelled', updated_at = now()
    where m.id = any (array(select w.id from waiting w)) and m.status in ('pending', 'queued')
    returning m.id
  )
  select count(*) into v_count from skipped s;

  if v_count > 0 then
    perform count_campaign_messages(array_fill(p_run_id, array[v_count]), array_fill('skipped'::text, array[v_count]));
  end if;
  return v_count;
end;
$$;

create function resume_campaign_run(p_run_id uuid)
returns boolean
language plpgsql set search_path from current
as $$
declare
  v_paused_at timestamptz;
begin
  select r.paused_at into v_paused_at
  from campaign_runs r
  where r.id = p_run_id and r.status = 'paused'
  for no key update;
  if not found then
    return false;
  end if;

  update campaign_runs r
  set status = 'running', paused_at = null, error_message = null
  where r.id = p_run_id;

  -- What was to wait an hour at most has not waited while nobody was allowed to send it.
  update campaign_messages m
  set scheduled_at = m.scheduled_at + (now() - v_paused_at), updated_at = now()
  where m.run_id = p_run_id and m.status = 'pending';

  insert into campaign_logs (run_id, step_name, level, message, details)
  values (p_run_id, 'INICIALIZAÇÃO', 'info', 'run resumed',
    jsonb_build_object('paused_seconds', extract(epoch from now() - v_paused_at)));
  perform complete_campaign_runs(array[p_run_id]);
  return true;
end;
$$;

create function mark_old_campaign_messages_as_skipped(p_one_hour_ago timestamptz, p_limit integer default null)
returns integer
language plpgsql set search_path from current
as $$
declare
  v_run_ids uuid[];
  v_statuses text[];
begin
  with old as materialized (
    select m.id
    from campaign_runs r
    cross join lateral (
      select m.id
      from campaign_messages m
      where m.run_id = r.id and m.status = 'pending' and m.scheduled_at < p_one_hour_ago
      for update of m skip locked
    ) m
    where r.status = 'running'
    limit p_limit
  ), skipped as (
    update campaign_messages m
    set status = 'skipped', error_message = 'due too long ago', updated_at = now()
    where m.id = any (array(select o.id from old o))
    returning m.run_id, m.status
  ), logged as (
    insert into campaign_logs (run_id, step_name, level, message, details)
    select s.run_id, 'FINALIZAÇÃO', 'warning', 'old messages skipped',
      jsonb_build_object('skipped', count(*), 'due_before', p_one_hour_ago)
    from skipped s
    group by s.run_id
  )
  select array_agg(s.run_id), array_agg(s.status) into v_run_ids, v_statuses from skipped s;

  if v_run_ids is null then
    return 0;
  end if;
  perform count_campaign_messages(v_run_ids, v_statuses);
  perform complete_campaign_runs(v_run_ids);
  return cardinality(v_run_ids);
end;
$$;

create function rescue_campaign_messages(
  p_limit integer, p_idempotent boolean, p_worker uuid default null, p_held uuid[] default '{}'
)
returns table (released integer, unconfirmed integer)
language plpgsql set search_path from current
as $$
declare
  v_message_ids uuid[];
  v_unknown_ids uuid[];
  v_run_ids uuid[];
  v_statuses text[];
begin
  -- Rows of workers that died long ago and hold nothing are of no use to anybody.
  delete from workers w
  where w.beat_at < now() - interval '1 day'
    and not exists (
      select from campaign_messages m where m.status in ('generating', 'sending') and m.claimed_by = w.incarnation);

  select array_agg(s.id) into v_message_ids
  from (
    select m.id
    from campaign_messages m
    where m.status in ('generating', 'sending')
      and (
        not exists (select from workers w where w.incarnation = m.claimed_by and w.beat_at > now() - w.lease)
        -- A claim whose answer was lost on its way, or a message whose end could not be written. A minute is longer
        -- than any call may take, so it is no claim whose answer is still on its way.
        or (m.claimed_by = p_worker and m.id <> all (p_held) and m.claimed_at < now() - interval '1 minute')
      )
    limit p_limit
    for update of m skip locked
  ) s;
  if v_message_ids is null then
    return query select 0, 0;
    return;
  end if;

  -- As in return_campaign_messages: a cancellation is waited for, or waits.
  perform from campaign_runs r
  where r.id in (select m.run_id from campaign_messages m where m.id = any (v_message_ids))
  order by r.id for no key update;

  -- The parts are read by a statement of its own: its snapshot is taken after the messages were locked, so an
  -- intent that its worker committed in between is seen. Without that a part under way could be planned again.
  with interrupted as (
    update campaign_message_parts p
    set status = case when p_idempotent then 'planned' else 'unknown' end,
        error_message = 'its worker was lost while this part was being sent'
    where p.message_id = any (v_message_ids) and p.status = 'sending'
    returning p.message_id, p.status
  )
  select coalesce(array_agg(distinct i.message_id), '{}') into v_unknown_ids
  from interrupted i
  where i.status = 'unknown';

  with taken as (
    update campaign_messages m
    set status = case
          when m.id = any (v_unknown_ids) then 'unconfirmed'
          when r.status = 'cancelled' then 'skipped'
          else 'pending'
        end,
        error_message = case when m.id = any (v_unknown_ids)
          then 'its worker was lost while a part was being sent' else m.error_message end,
        claimed_by = null,
        claimed_at = null,
        updated_at = now()
    from campaign_runs r
    where m.id = any (v_message_ids) and r.id = m.run_id
    returning m.id, m.run_id, m.lead_id, m.status
  ), logged as (
    insert into campaign_logs (run_id, message_id, lead_id, step_name, level, message)
    select t.run_id, t.id, t.lead_id, 'ERRO', 'error', 'its worker was lost while a part was being sent'
    from taken t
    where t.status = 'unconfirmed'
  )
  select array_agg(t.run_id), array_agg(t.status) into v_run_ids, v_statuses
  from taken t
  where t.status <> 'pending';

  if v_run_ids is not null then
    perform count_campaign_messages(v_run_ids, v_statuses);
    perform complete_campaign_runs(v_run_ids);
  end if;
  return query select cardinality(v_message_ids) - cardinality(v_unknown_ids), cardinality(v_unknown_ids);
end;
$$;

comment on table leads is 'People that campaigns write to. One row a workspace and phone number.';
comment on column leads.id is 'The lead.';
comment on column leads.workspace_id is 'The tenant that the lead belongs to.';
comment on column leads.client_name is 'Name of the person.';
comment on column leads.company is 'Name of the company.';
comment on column leads.primary_email is 'E-mail address, not validated.';
comment on column leads.primary_phone is 'Phone number as it was entered.';
comment on column leads.phone_normalized is 'Phone number in E.164, such as +5511987654321.';
comment on column leads.primary_website is 'Web site as it was entered.';
comment on column leads.deal_value is 'Value of the deal in the workspace''s currency.';
comment on column leads.tags is 'Labels of the CRM.';
comment on column leads.custom_fields is 'Any other facts: an object of name and value.';
comment on column leads.status is 'The CRM''s own state of the lead; trioqueue does not read it.';
comment on column leads.created_at is 'When the row was made.';
comment on column leads.updated_at is 'When the row was last changed by an import.';
comment on index idx_leads_id_for_context is
  'Primary key and covering index of the context query: what most contexts need without a visit to the table.';
comment on index idx_leads_workspace_phone is 'The same phone twice in a workspace is one lead; imports find it here.';

comment on table campaign_configs is 'What a campaign says and how: model, instructions, splitting, pace.';
comment on column campaign_configs.id is 'The campaign.';
comment on column campaign_configs.workspace_id is 'The tenant that the campaign belongs to.';
comment on column campaign_configs.name is 'Name that people know it by.';
comment on column campaign_configs.ai_model is 'Model as OpenRouter names it, such as openai/gpt-4o-mini.';
comment on column campaign_configs.ai_instructions is 'The operator''s instructions: the system prompt.';
comment on column campaign_configs.split_messages is 'Whether messages are split into parts.';
comment on column campaign_configs.max_split_parts is 'The most parts of a message, 1 to 5.';
comment on column campaign_configs.min_interval_seconds is 'Least seconds between two messages'' due times.';
comment on column campaign_configs.max_interval_seconds is 'Most seconds between two messages'' due times.';
comment on column campaign_configs.start_time is 'Start of the daily sending window in `timezone`; null for none.';
comment on column campaign_configs.end_time is 'End of the daily sending window in `timezone`; null for none.';
comment on column campaign_configs.timezone is 'IANA name of the time zone of the window.';
comment on column campaign_configs.daily_limit is 'Most messages a day; null for no limit.';
comment on column campaign_configs.is_active is 'Whether new runs may be started.';
comment on column campaign_configs.created_at is 'When the row was made.';
comment on column campaign_configs.updated_at is 'When the row was last changed.';

comment on table campaign_runs is 'One sending of a campaign. Its counters are exact at every commit.';
comment on column campaign_runs.id is 'The run.';
comment on column campaign_runs.config_id is 'The campaign.';
comment on column campaign_runs.status is 'running, paused, completed, cancelled or failed; see docs/states.md.';
comment on column campaign_runs.run_date is 'Day of the run.';
comment on column campaign_runs.leads_total is 'Messages of the run.';
comment on column campaign_runs.leads_processed is 'Messages sent, failed, skipped or unconfirmed.';
comment on column campaign_runs.leads_success is 'Messages sent.';
comment on column campaign_runs.leads_failed is 'Messages failed for good.';
comment on column campaign_runs.leads_skipped is 'Messages skipped.';
comment on column campaign_runs.started_at is 'When the run was started.';
comment on column campaign_runs.paused_at is 'Since when it is paused; null unless it is.';
comment on column campaign_runs.completed_at is 'When its last message was processed.';
comment on column campaign_runs.error_message is 'Why it is paused or failed.';
comment on index idx_campaign_runs_id_status is 'Running runs, for the claim; finished runs are not in it.';

comment on table conversations is 'The thread that a gateway sends into. One row a workspace and phone number.';
comment on column conversations.id is 'The conversation; the gateway is given this id.';
comment on column conversations.workspace_id is 'The tenant that the conversation belongs to.';
comment on column conversations.lead_id is 'The lead on the other end.';
comment on column conversations.contact_phone is 'Phone number in E.164.';
comment on column conversations.campaign_run_id is 'The last run that wrote into it.';
comment on column conversations.created_at is 'When the row was made.';

comment on table workers is 'One row an incarnation of a worker process; its heartbeat is the lease of all its claims.';
comment on column workers.incarnation is 'Fresh for every process: host names and pids are reused.';
comment on column workers.host is 'Host name, for people.';
comment on column workers.pid is 'Process id, for people.';
comment on column workers.lease is 'How long after its last heartbeat the worker counts as alive.';
comment on column workers.started_at is 'When the process registered.';
comment on column workers.beat_at is 'Last heartbeat, by the clock of the database.';

comment on table campaign_messages is 'One message to one lead in one run; see docs/states.md for its states.';
comment on column campaign_messages.id is 'The message.';
comment on column campaign_messages.run_id is 'The run.';
comment on column campaign_messages.lead_id is 'The lead.';
comment on column campaign_messages.phone_number is 'Phone number as it was entered.';
comment on column campaign_messages.phone_normalized is 'Phone number in E.164.';
comment on column campaign_messages.status is
  'pending, generating, sending, sent, failed, skipped, unconfirmed or replied; queued is read as pending.';
comment on column campaign_messages.scheduled_at is 'When it is due.';
comment on column campaign_messages.retry_count is 'Requeues so far, at most 3.';
comment on column campaign_messages.error_message is 'What went wrong last.';
comment on column campaign_messages.generated_message is 'The text, stored as soon as it is paid for.';
comment on column campaign_messages.ai_model is 'The model that wrote it, as its answer says.';
comment on column campaign_messages.ai_tokens_used is 'Tokens of all calls for it, failed ones too.';
comment on column campaign_messages.ai_generation_time_ms is 'Milliseconds from the first call to the text, waits included.';
comment on column campaign_messages.ai_split_time_ms is 'Milliseconds that the splitting took.';
comment on column campaign_messages.send_time_ms is 'Milliseconds that the gateway''s answers took, all parts together.';
comment on column campaign_messages.cost_usd is 'Price of all calls for it in US dollars.';
comment on column campaign_messages.conversation_id is 'Where it is sent to.';
comment on column campaign_messages.provider_message_id is 'The gateway''s id of the last part sent.';
comment on column campaign_messages.sent_at is 'When its last part was accepted.';
comment on column campaign_messages.created_at is 'When the row was made.';
comment on column campaign_messages.updated_at is 'When the row was last changed.';
comment on column campaign_messages.claimed_by is 'Incarnation of the worker that holds it; null unless generating or sending.';
comment on column campaign_messages.claimed_at is 'Since when it is held.';
comment on column campaign_messages.claim_fence is
  'Grows with every claim; a write that names an earlier one changes nothing.';
comment on index idx_campaign_messages_atomic_selection is 'The queue: due messages of a run in order of their due time.';
comment on index idx_campaign_messages_claimed is 'Messages in the hands of workers, for rescue and for completing runs.';
comment on index idx_campaign_messages_queued is 'Messages that other programs wrote as queued; empty ordinarily.';
comment on index idx_campaign_messages_unconfirmed is 'Messages that wait for a person or a reconciliation.';

comment on table campaign_message_parts is 'The send ledger: what was meant to be sent, and what came of it.';
comment on column campaign_message_parts.message_id is 'The message.';
comment on column campaign_message_parts.part_no is 'Number of the part, from 1.';
comment on column campaign_message_parts.body is 'Its final text.';
comment on column campaign_message_parts.status is
  'planned; sending (committed before the request starts); sent, rejected or unknown.';
comment on column campaign_message_parts.idempotency_key is 'The same for every attempt to send the part.';
comment on column campaign_message_parts.claim_fence is 'Fence of the claim that last meant to send it.';
comment on column campaign_message_parts.provider_message_id is 'The gateway''s id of the part.';
comment on column campaign_message_parts.error_message is 'Why it was not sent, or why that is not known.';
comment on column campaign_message_parts.sent_at is 'When the gateway accepted it.';

comment on table campaign_logs is 'What happened, for the people who run campaigns.';
comment on column campaign_logs.id is 'Order of writing.';
comment on column campaign_logs.run_id is 'The run.';
comment on column campaign_logs.message_id is 'The message; null when the row is about the run.';
comment on column campaign_logs.lead_id is 'The lead; null when the row is about the run.';
comment on column campaign_logs.step_name is 'The step, in the words of the front end.';
comment on column campaign_logs.level is 'debug, info, success, warning or error.';
comment on column campaign_logs.message is 'What happened, in English.';
comment on column campaign_logs.details is 'Figures of the step, such as generation_time_ms, tokens_used and model.';
comment on column campaign_logs.created_at is 'When it happened.';
comment on index idx_campaign_logs_run is 'The log of a run in order.';

comment on function get_leads_full_context(uuid[]) is 'Contexts of many leads in one query; a lead named twice comes once.';
comment on function get_lead_full_context(uuid) is 'Context of one lead, null when there is none.';
comment on function count_campaign_messages(uuid[], text[], integer) is
  'Adds processed messages (or takes them away, with sign -1) to the counters of their runs.';
comment on function complete_campaign_runs(uuid[]) is
  'Completes those of the runs that have no open message, and logs it; returns them.';
comment on function finish_campaign_messages(jsonb) is
  'Moves held messages to a final state, counts them and completes their runs; returns those that were still held.';
comment on function return_campaign_messages(jsonb) is
  'Gives held messages back to pending, or skips them where their run was cancelled; returns those that were still held.';
comment on function skip_cancelled_campaign_messages(uuid, integer) is
  'Skips messages of a cancelled run that nobody holds, as many as the limit says; returns how many.';
comment on function resume_campaign_run(uuid) is
  'Resumes a paused run and moves the due times of its pending messages by the length of the pause; false when it was not paused.';
comment on function mark_old_campaign_messages_as_skipped(timestamptz, integer) is
  'Skips the pending messages of running runs that were due before the given time, as many as the limit says; returns how many.';
comment on function rescue_campaign_messages(integer, boolean, uuid, uuid[]) is
  'Takes messages from workers whose lease has run out, and from the asking worker those that it does not know of: those with a part under way become unconfirmed (pending where the gateway is idempotent), the others pending.';
