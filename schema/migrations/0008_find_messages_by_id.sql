-- Statements that write what happened to messages find them by their ids, and by nothing else. They could be planned
-- otherwise, because PostgreSQL takes a JSON array for a hundred rows, and because the states that they name proved the
-- index of held messages: then each read all that is held, and the entries of all that was held since the last vacuum,
-- 4,000 for a batch of 20 within the first minute of a run.
--
-- So the index is of claimed_at, which says the same as those states (a constraint holds them together) to all but the
-- planner; and a limit that is no limit has it reckon with ten rows. Whether a run is over is asked of the first message
-- in the order of the queue: "not exists" is a join, and could be planned to read all that is pending.
drop index idx_campaign_messages_claimed;
create index idx_campaign_messages_claimed on campaign_messages (run_id, claimed_by) where claimed_at is not null;
comment on index idx_campaign_messages_claimed is 'Messages in the hands of workers, for rescue and for completing runs.';

create or replace function complete_campaign_runs(p_run_ids uuid[])
returns setof uuid
language sql set search_path from current
begin atomic
  with completed as (
    update campaign_runs r
    set status = 'completed', completed_at = now(), error_message = null
    where r.id = any (p_run_ids)
      and r.status = 'running'
      and (
        select m.id from campaign_messages m where m.run_id = r.id and m.status = 'pending'
        order by m.scheduled_at limit 1
      ) is null
      and (
        select m.id from campaign_messages m where m.run_id = r.id and m.claimed_at is not null
        order by m.claimed_by limit 1
      ) is null
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

create or replace function account_campaign_spending(
  p_rows jsonb, p_message_ids uuid[], p_run_ids uuid[], p_day_max_tokens bigint, p_day_max_cost_usd numeric,
  p_prices jsonb
)
returns table (message_id uuid, answer text)
language plpgsql set search_path from current
as $$
declare
  v_today date := (now() at time zone 'UTC')::date;
  v_day date := case when p_day_max_tokens is not null or p_day_max_cost_usd is not null then v_today end;
  v_row record;
  v_run_id uuid;
  v_run_fits boolean;
  v_day_fits boolean;
  v_answer text;
  -- What this call has granted, of the run that it is at and of the day.
  v_run_tokens bigint;
  v_run_cost numeric;
  v_run_unpriced integer;
  v_day_tokens bigint := 0;
  v_day_cost numeric := 0;
  v_day_unpriced integer := 0;
  v_ids uuid[] := '{}';
  v_answers text[] := '{}';
  v_counted_tokens bigint[] := '{}';
  v_counted_costs numeric[] := '{}';
  v_reserved_tokens bigint[] := '{}';
  v_reserved_costs numeric[] := '{}';
  -- What is added to runs and days.
  v_runs uuid[] := '{}';
  v_days date[] := '{}';
  v_tokens bigint[] := '{}';
  v_costs numeric[] := '{}';
  v_more_tokens bigint[] := '{}';
  v_more_costs numeric[] := '{}';
  v_more_unpriced integer[] := '{}';
begin
  -- All that this transaction is going to lock, in the order in which everyone does: messages, which only a rescue
  -- wants besides, then runs by id, then days from the latest.
  perform from campaign_messages m where m.id = any (p_message_ids) for no key update;
  perform from campaign_runs r where r.id = any (p_run_ids) order by r.id for no key update;
  if v_day is not null then
    perform from daily_spending d where d.day = v_day for no key update;
    if not found then
      insert into daily_spending (day) values (v_day) on conflict do nothing;
      perform from daily_spending d where d.day = v_day for no key update;
    end if;
  end if;

  -- What all rows settle is counted before the first of them is granted anything.
  for v_row in
    with told as (
      select t.*
      from jsonb_to_recordset(p_rows) as t (place integer, message_id uuid, owner uuid, fence bigint, tokens bigint,
                                            cost_usd numeric, ask_tokens bigint, ask_cost_usd numeric)
      limit jsonb_array_length(p_rows)
    ), held as (
      select m.id, m.run_id, t.place, t.tokens, t.cost_usd, t.ask_tokens, t.ask_cost_usd,
        t.tokens - coalesce(m.counted_tokens, m.ai_tokens_used, 0) as new_tokens,
        t.cost_usd - coalesce(m.counted_cost_usd, m.cost_usd, 0) as new_cost,
        coalesce(m.reserved_tokens, 0) as back_tokens,
        coalesce(m.reserved_cost_usd, 0) as back_cost,
        (m.reserved_tokens is not null and m.reserved_cost_usd is null)::integer as back_unpriced,
        m.reserved_on,
        coalesce(m.reserved_on, v_day) as count_on
      from told t
      join campaign_messages m on m.id = t.message_id
      where m.claimed_by = t.owner and m.claim_fence = t.fence and m.status in ('generating', 'sending')
    )
    select h.*, r.status, r.max_tokens, r.max_cost_usd,
      r.counted_tokens + sum(h.new_tokens) over run as run_counted_tokens,
      r.counted_cost_usd + sum(h.new_cost) over run as run_counted_cost,
      r.reserved_tokens - sum(h.back_tokens) over run as run_reserved_tokens,
      r.reserved_cost_usd - sum(h.back_cost) over run as run_reserved_cost,
      r.unpriced_calls - sum(h.back_unpriced) over run as run_unpriced,
      d.counted_tokens + coalesce(sum(h.new_tokens) filter (where h.count_on = v_day) over (), 0) as day_counted_tokens,
      d.counted_cost_usd + coalesce(sum(h.new_cost) filter (where h.count_on = v_day) over (), 0) as day_counted_cost,
      d.reserved_tokens - coalesce(sum(h.back_tokens) filter (where h.reserved_on = v_day) over (), 0)
        as day_reserved_tokens,
      d.reserved_cost_usd - coalesce(sum(h.back_cost) filter (where h.reserved_on = v_day) over (), 0)
        as day_reserved_cost,
      d.unpriced_calls - coalesce(sum(h.back_unpriced) filter (where h.reserved_on = v_day) over (), 0) as day_unpriced
    from held h
    join campaign_runs r on r.id = h.run_id
    left join daily_spending d on d.day = v_day
    window run as (partition by h.run_id)
    order by h.run_id, h.place
  loop
    if v_row.run_id is distinct from v_run_id then
      v_run_id := v_row.run_id;
      v_run_tokens := 0;
      v_run_cost := 0;
      v_run_unpriced := 0;
    end if;

    v_answer := 'settled';
    if v_row.ask_tokens is not null and v_row.status <> 'running' then
      v_answer := 'stopped';
    elsif v_row.ask_tokens is not null then
      v_run_fits := budget_fits(v_row.max_tokens, v_row.max_cost_usd,
        (v_row.run_counted_tokens + v_row.run_reserved_tokens + v_run_tokens)::bigint,
        v_row.run_counted_cost + v_row.run_reserved_cost + v_run_cost,
        (v_row.run_unpriced + v_run_unpriced)::integer, v_row.ask_tokens, v_row.ask_cost_usd);
      v_day_fits := v_day is null or budget_fits(p_day_max_tokens, p_day_max_cost_usd,
        (v_row.day_counted_tokens + v_row.day_reserved_tokens + v_day_tokens)::bigint,
        v_row.day_counted_cost + v_row.day_reserved_cost + v_day_cost,
        (v_row.day_unpriced + v_day_unpriced)::integer, v_row.ask_tokens, v_row.ask_cost_usd);
      if v_run_fits and v_day_fits then
        v_answer := 'granted';
      elsif (v_run_fits or v_row.run_reserved_tokens + v_run_tokens > 0)
        and (v_day_fits or v_row.day_reserved_tokens + v_day_tokens > 0)
      then
        v_answer := 'reserved';
      elsif exists (
        select from campaign_messages m
        where m.run_id = v_row.run_id and m.claimed_at is not null and m.id <> v_row.id
          and (m.generated_message is not null or m.reserved_tokens is not null)
      ) then
        -- What has been paid for is sent before the run pauses.
        v_answer := 'reserved';
      else
        v_answer := 'spent';
      end if;
    end if;

    v_ids := v_ids || v_row.id;
    v_answers := v_answers || v_answer;
    v_counted_tokens := v_counted_tokens || v_row.tokens;
    v_counted_costs := v_counted_costs || v_row.cost_usd;
    v_runs := v_runs || v_row.run_id || v_row.run_id;
    v_days := v_days || v_row.count_on || v_row.reserved_on;
    v_tokens := v_tokens || v_row.new_tokens::bigint || 0::bigint;
    v_costs := v_costs || v_row.new_cost || 0::numeric;
    v_more_tokens := v_more_tokens || 0::bigint || -v_row.back_tokens;
    v_more_costs := v_more_costs || 0::numeric || -v_row.back_cost;
    v_more_unpriced := v_more_unpriced || 0 || -v_row.back_unpriced;
    if v_answer <> 'granted' then
      v_reserved_tokens := v_reserved_tokens || null::bigint;
      v_reserved_costs := v_reserved_costs || null::numeric;
      continue;
    end if;
    v_reserved_tokens := v_reserved_tokens || v_row.ask_tokens;
    v_reserved_costs := v_reserved_costs || v_row.ask_cost_usd;
    v_runs := v_runs || v_row.run_id;
    v_days := v_days || v_day;
    v_tokens := v_tokens || 0::bigint;
    v_costs := v_costs || 0::numeric;
    v_more_tokens := v_more_tokens || v_row.ask_tokens;
    v_more_costs := v_more_costs || coalesce(v_row.ask_cost_usd, 0);
    v_more_unpriced := v_more_unpriced || (v_row.ask_cost_usd is null)::integer;
    v_run_tokens := v_run_tokens + v_row.ask_tokens;
    v_run_cost := v_run_cost + coalesce(v_row.ask_cost_usd, 0);
    v_run_unpriced := v_run_unpriced + (v_row.ask_cost_usd is null)::integer;
    v_day_tokens := v_day_tokens + v_row.ask_tokens;
    v_day_cost := v_day_cost + coalesce(v_row.ask_cost_usd, 0);
    v_day_unpriced := v_day_unpriced + (v_row.ask_cost_usd is null)::integer;
  end loop;

  perform count_campaign_spending(v_runs, v_days, v_tokens, v_costs, v_more_tokens, v_more_costs, v_more_unpriced);
  update campaign_messages m
  set counted_tokens = w.counted_tokens,
      counted_cost_usd = w.counted_cost,
      reserved_tokens = w.reserved_tokens,
      reserved_cost_usd = w.reserved_cost,
      reserved_on = case when w.reserved_tokens is not null then v_day end
  from unnest(v_ids, v_counted_tokens, v_counted_costs, v_reserved_tokens, v_reserved_costs)
    as w (id, counted_tokens, counted_cost, reserved_tokens, reserved_cost)
  where m.id = w.id
    and (m.counted_tokens, m.counted_cost_usd, m.reserved_tokens, m.reserved_cost_usd)
      is distinct from (w.counted_tokens, w.counted_cost, w.reserved_tokens, w.reserved_cost);

  if p_prices is not null then
    insert into model_prices as o (model, day, usd_per_token)
    select p.model, v_today, max(p.usd_per_token)
    from jsonb_to_recordset(p_prices) as p (model text, usd_per_token numeric)
    group by p.model
    order by p.model
    on conflict (model, day) do update set usd_per_token = greatest(o.usd_per_token, excluded.usd_per_token);
  end if;
  return query select w.id, w.answer from unnest(v_ids, v_answers) as w (id, answer);
end;
$$;

create or replace function finish_campaign_messages(p_rows jsonb)
returns setof uuid
language plpgsql set search_path from current
as $$
declare
  v_message_ids uuid[];
  v_run_ids uuid[];
  v_statuses text[];
begin
  with told as (
    select r.*
    from jsonb_to_recordset(p_rows) as r (message_id uuid, owner uuid, fence bigint, status text, error_message text,
                                          provider_message_id text, tokens integer, cost_usd numeric)
    limit jsonb_array_length(p_rows)
  ), finished as (
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
    from told r
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

create or replace function return_campaign_messages(p_rows jsonb)
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

  with told as (
    select r.*
    from jsonb_to_recordset(p_rows) as r (message_id uuid, owner uuid, fence bigint, delay double precision,
                                          retry_count integer, error text, tokens integer, cost_usd numeric)
    limit jsonb_array_length(p_rows)
  ), returned as (
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
    from told r, campaign_runs c
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

create or replace function rescue_campaign_messages(
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
      select from campaign_messages m where m.claimed_at is not null and m.claimed_by = w.incarnation);

  select array_agg(s.id) into v_message_ids
  from (
    select m.id
    from campaign_messages m
    where m.claimed_at is not null
      and (
        -- Who asks is alive, and knows what became of the parts it was sending: after an outage of the database that
        -- was longer than the lease it must not give up its own messages, only because this comes before its next beat.
        (m.claimed_by is distinct from p_worker
          and not exists (select from workers w where w.incarnation = m.claimed_by and w.beat_at > now() - w.lease))
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
  perform count_lost_campaign_calls(v_message_ids);

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

create or replace function prune_campaign_run(p_days integer, p_limit integer)
returns integer
language plpgsql security definer set search_path from current
as $$
declare
  v_run_id uuid;
  v_removed integer;
begin
  if p_days < 1 then
    raise exception 'p_days is %: what has been over for less than a day is kept', p_days
      using errcode = 'invalid_parameter_value';
  end if;
  -- One at a time, and until the end of the transaction alone: a lock of the session would not do behind a pooler.
  if not pg_try_advisory_xact_lock(hashtextextended('trioqueue prune ' || 'campaign_runs'::regclass::oid, 0)) then
    return 0;
  end if;

  -- A run is kept whole while one of its messages waits for a person. Whoever lets it go on has locked it.
  -- One look for each partial index: a list of all these states would be proven by none of them.
  select r.id into v_run_id
  from campaign_runs r
  where r.pruned_at is null and r.status in ('completed', 'cancelled', 'failed')
    and r.completed_at < now() - make_interval(days => p_days)
    and not exists (select from campaign_messages m where m.run_id = r.id and m.status = 'unconfirmed')
    and not exists (select from campaign_messages m where m.run_id = r.id and m.status = 'pending')
    and not exists (select from campaign_messages m where m.run_id = r.id and m.claimed_at is not null)
    and not exists (select from campaign_messages m where m.run_id = r.id and m.status = 'queued')
  order by r.completed_at
  limit 1
  for update of r skip locked;
  if v_run_id is null then
    return 0;
  end if;

  delete from campaign_messages m
  where m.id in (
    select o.id from campaign_messages o
    where o.run_id = v_run_id and o.status in ('sent', 'failed', 'skipped', 'replied')
    limit p_limit
    for update skip locked);
  get diagnostics v_removed = row_count;
  if v_removed > 0 then
    return v_removed;
  end if;
  -- Whoever tries a message again locks it first and its run, which is ours, then: both go on after this look.
  if exists (select from campaign_messages m where m.run_id = v_run_id) then
    return 0;
  end if;

  delete from campaign_logs g
  where g.id in (select o.id from campaign_logs o where o.run_id = v_run_id order by o.id limit p_limit);
  get diagnostics v_removed = row_count;
  if v_removed = 0 then
    update campaign_runs r set pruned_at = now() where r.id = v_run_id;
    v_removed := 1;
  end if;
  return v_removed;
end;
$$;
