-- Messages whose fate is settled afterwards, by a person or by a look-up at the gateway, and people who are not to be
-- written to any more.

alter table campaign_message_parts
  add column intended_at timestamptz,
  add column looked_up_at timestamptz;

alter table conversations add column taken_over_at timestamptz;

create function reopen_campaign_runs(p_run_ids uuid[])
returns void
language sql set search_path from current
begin atomic
  with reopened as (
    update campaign_runs r
    set status = 'running', completed_at = null
    where r.id = any (p_run_ids) and r.status = 'completed'
    returning r.id
  )
  insert into campaign_logs (run_id, step_name, level, message)
  select r.id, 'INICIALIZAÇÃO', 'info', 'run goes on: a message of it is pending again' from reopened r;
end;

create function retry_campaign_message(p_message_id uuid)
returns boolean
language plpgsql set search_path from current
as $$
declare
  v_message campaign_messages;
  v_run campaign_runs;
begin
  -- First the message, then its run: as in every function that moves messages which nobody holds.
  select * into v_message
  from campaign_messages m
  where m.id = p_message_id and m.status in ('failed', 'skipped')
  for no key update;
  if not found then
    return false;
  end if;

  select * into v_run
  from campaign_runs r
  where r.id = v_message.run_id and r.status in ('running', 'paused', 'completed')
  for no key update;
  if not found then
    return false;
  end if;

  update campaign_messages m
  set status = 'pending',
      -- A resumption moves it by the length of the whole pause; then it is due at once.
      scheduled_at = coalesce(v_run.paused_at, now()),
      retry_count = 0,
      error_message = null,
      updated_at = now()
  where m.id = v_message.id;

  insert into campaign_logs (run_id, message_id, lead_id, step_name, level, message, details)
  values (v_message.run_id, v_message.id, v_message.lead_id, 'RETRY', 'info', 'made pending again by a person',
    jsonb_build_object('status', v_message.status, 'retry_count', v_message.retry_count,
      'error', v_message.error_message));
  perform count_campaign_messages(array[v_message.run_id], array[v_message.status], -1);
  perform reopen_campaign_runs(array[v_message.run_id]);
  return true;
end;
$$;

create function settle_campaign_messages(p_rows jsonb, p_settled_by text)
returns table (message_id uuid, became text)
language plpgsql set search_path from current
as $$
declare
  v_message_ids uuid[];
  v_run_ids uuid[];
  v_statuses text[];
begin
  select array_agg(s.id) into v_message_ids
  from (
    select m.id
    from campaign_messages m
    where m.id in (select t.message_id from jsonb_to_recordset(p_rows) as t (message_id uuid))
      and m.status = 'unconfirmed'
    order by m.id
    for no key update
  ) s;
  if v_message_ids is null then
    return;
  end if;

  -- Locked before their state is read: a cancellation either waits, and then finds the messages pending, or is seen.
  perform from campaign_runs r
  where r.id in (select m.run_id from campaign_messages m where m.id = any (v_message_ids))
  order by r.id for no key update;

  -- Who asked the gateway names the fence of the attempt it asked about: meanwhile a person may have had the part sent
  -- again, and what became of that is not known.
  update campaign_message_parts p
  set status = t.status,
      provider_message_id = coalesce(t.provider_message_id, p.provider_message_id),
      error_message = null,
      sent_at = case when t.status = 'sent' then coalesce(p.intended_at, now()) end
  from jsonb_to_recordset(p_rows) as t (message_id uuid, part_no integer, fence bigint, status text,
                                        provider_message_id text)
  where p.message_id = t.message_id
    and p.message_id = any (v_message_ids)
    and p.status = 'unknown'
    and p.part_no = coalesce(t.part_no, p.part_no)
    and coalesce(p.claim_fence, 0) = coalesce(t.fence, p.claim_fence, 0);

  with moved as (
    update campaign_messages m
    set status = n.status,
        scheduled_at = case when n.status = 'pending' then n.due else m.scheduled_at end,
        sent_at = case when n.status = 'sent' then coalesce(n.last_sent_at, now()) end,
        provider_message_id = coalesce(n.provider_message_id, m.provider_message_id),
        error_message = case when n.status = 'skipped' then 'the run was ' || n.run_status end,
        updated_at = now()
    from (
      select u.id, t.status as told, t.provider_message_id, r.status as run_status,
        -- A resumption moves it by the length of the whole pause; then it is due at once.
        coalesce(r.paused_at, now()) as due,
        s.last_sent_at,
        case
          when t.status = 'sent' and s.all_sent then 'sent'
          when r.status in ('running', 'paused', 'completed') then 'pending'
          else 'skipped'
        end as status
      from jsonb_to_recordset(p_rows) as t (message_id uuid, status text, provider_message_id text)
      join campaign_messages u on u.id = t.message_id
      join campaign_runs r on r.id = u.run_id
      cross join lateral (
        select max(p.sent_at) as last_sent_at,
          coalesce(bool_and(p.status = 'sent'), true) as all_sent,
          coalesce(bool_or(p.status = 'unknown'), false) as any_unknown
        from campaign_message_parts p
        where p.message_id = u.id
      ) s
      where u.id = any (v_message_ids) and not s.any_unknown
    ) n
    where m.id = n.id
    returning m.id, m.run_id, m.lead_id, m.status, n.told
  ), logged as (
    insert into campaign_logs (run_id, message_id, lead_id, step_name, level, message, details)
    select m.run_id, m.id, m.lead_id, 'ENVIO_WHATSAPP',
      case when m.told = 'sent' then 'success' else 'warning' end,
      case when m.told = 'sent' then 'settled: the part has arrived' else 'settled: the part has not arrived' end,
      jsonb_build_object('settled_by', p_settled_by, 'status', m.status)
    from moved m
  )
  select array_agg(m.id), array_agg(m.run_id), array_agg(m.status)
  into v_message_ids, v_run_ids, v_statuses
  from moved m;

  if v_message_ids is not null then
    perform count_campaign_messages(v_run_ids, array_fill('unconfirmed'::text, array[cardinality(v_run_ids)]), -1);
    perform count_campaign_messages(array_agg(u.run_id), array_agg(u.status))
    from unnest(v_run_ids, v_statuses) as u (run_id, status)
    where u.status <> 'pending'
    having count(*) > 0;
    perform reopen_campaign_runs(array_agg(u.run_id))
    from unnest(v_run_ids, v_statuses) as u (run_id, status)
    where u.status = 'pending'
    having count(*) > 0;
  end if;
  return query select * from unnest(v_message_ids, v_statuses);
end;
$$;

comment on column campaign_message_parts.intended_at is 'When it was last meant to leave, just before the request.';
comment on column campaign_message_parts.looked_up_at is
  'When the gateway was last asked what became of it; null when it never was.';
comment on column conversations.taken_over_at is
  'Since when a person writes into it; null when nobody does. Nothing is sent into it meanwhile.';
comment on column leads.status is
  'The CRM''s own state of the lead. To one that is opted_out nothing is sent; trioqueue reads no other.';

comment on function reopen_campaign_runs(uuid[]) is
  'Makes those of the runs running again that are completed, because a message of each is pending again.';
comment on function retry_campaign_message(uuid) is
  'Makes a failed or skipped message pending again, due now; false when it is neither, or its run is over.';
comment on function settle_campaign_messages(jsonb, text) is
  'Says of unconfirmed messages whether their unknown part is sent or planned again (all of them, or the one and the attempt that a row names); returns the messages that are settled and what they became.';
