-- Budgets of runs and of days: what they allow, what is counted, and what is reserved for calls under way.
--
-- Messages of runs without a budget leave all of it empty, and no statement is executed for them.

alter table campaign_runs
  add column max_tokens bigint check (max_tokens > 0),
  add column max_cost_usd numeric check (max_cost_usd > 0),
  add column counted_tokens bigint not null default 0 check (counted_tokens >= 0),
  add column counted_cost_usd numeric not null default 0,
  add column reserved_tokens bigint not null default 0 check (reserved_tokens >= 0),
  add column reserved_cost_usd numeric not null default 0 check (reserved_cost_usd >= 0),
  add column unpriced_calls integer not null default 0 check (unpriced_calls >= 0),
  add column resumes_at timestamptz,
  add column resumed_at timestamptz;

-- Only paused runs are looked for, and only by the upkeep: in no index that a counter's update would have to touch.
create index idx_campaign_runs_resumes_at on campaign_runs (resumes_at) where resumes_at is not null;

alter table campaign_messages
  add column counted_tokens bigint,
  add column counted_cost_usd numeric,
  add column reserved_tokens bigint check (reserved_tokens > 0),
  add column reserved_cost_usd numeric check (reserved_cost_usd >= 0),
  add column reserved_on date,
  add constraint campaign_messages_counted_check check ((counted_tokens is null) = (counted_cost_usd is null)),
  add constraint campaign_messages_reserved_check check (
    reserved_tokens is not null or (reserved_cost_usd is null and reserved_on is null));

create table daily_spending (
  day date primary key,
  counted_tokens bigint not null default 0 check (counted_tokens >= 0),
  counted_cost_usd numeric not null default 0,
  reserved_tokens bigint not null default 0 check (reserved_tokens >= 0),
  reserved_cost_usd numeric not null default 0 check (reserved_cost_usd >= 0),
  unpriced_calls integer not null default 0 check (unpriced_calls >= 0)
) with (
  -- One row is updated with every commit of every worker that has a budget of the day: HOT where the page has room.
  fillfactor = 10,
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 200,
  autovacuum_vacuum_cost_delay = 0
);

create table model_prices (
  model text not null,
  day date not null,
  usd_per_token numeric not null check (usd_per_token >= 0),
  primary key (model, day)
);

create function count_campaign_spending(
  p_run_ids uuid[], p_days date[], p_tokens bigint[], p_costs numeric[],
  p_reserved_tokens bigint[], p_reserved_costs numeric[], p_unpriced integer[]
)
returns void
language sql set search_path from current
begin atomic
  update campaign_runs r
  set counted_tokens = r.counted_tokens + c.tokens,
      counted_cost_usd = r.counted_cost_usd + c.cost,
      reserved_tokens = r.reserved_tokens + c.reserved_tokens,
      reserved_cost_usd = r.reserved_cost_usd + c.reserved_cost,
      unpriced_calls = r.unpriced_calls + c.unpriced
  from (
    select u.run_id, sum(u.tokens) as tokens, sum(u.cost) as cost, sum(u.reserved_tokens) as reserved_tokens,
      sum(u.reserved_cost) as reserved_cost, sum(u.unpriced) as unpriced
    from unnest(p_run_ids, p_tokens, p_costs, p_reserved_tokens, p_reserved_costs, p_unpriced)
      as u (run_id, tokens, cost, reserved_tokens, reserved_cost, unpriced)
    group by u.run_id
  ) c
  where r.id = c.run_id
    and (c.tokens, c.cost, c.reserved_tokens, c.reserved_cost, c.unpriced) <> (0, 0, 0, 0, 0);

  update daily_spending d
  set counted_tokens = d.counted_tokens + c.tokens,
      counted_cost_usd = d.counted_cost_usd + c.cost,
      reserved_tokens = d.reserved_tokens + c.reserved_tokens,
      reserved_cost_usd = d.reserved_cost_usd + c.reserved_cost,
      unpriced_calls = d.unpriced_calls + c.unpriced
  from (
    select u.day, sum(u.tokens) as tokens, sum(u.cost) as cost, sum(u.reserved_tokens) as reserved_tokens,
      sum(u.reserved_cost) as reserved_cost, sum(u.unpriced) as unpriced
    from unnest(p_days, p_tokens, p_costs, p_reserved_tokens, p_reserved_costs, p_unpriced)
      as u (day, tokens, cost, reserved_tokens, reserved_cost, unpriced)
    group by u.day
  ) c
  where d.day = c.day
    and (c.tokens, c.cost, c.reserved_tokens, c.reserved_cost, c.unpriced) <> (0, 0, 0, 0, 0);
end;

create function budget_fits(
  p_max_tokens bigint, p_max_cost_usd numeric, p_used_tokens bigint, p_used_cost_usd numeric, p_unpriced integer,
  p_tokens bigint, p_cost_usd numeric
)
returns boolean
language sql immutable set search_path from current
return (p_max_tokens is null or p_used_tokens + p_tokens <= p_max_tokens)
  and (p_max_cost_usd is null or case
    when p_cost_usd is null then p_unpriced = 0 and p_used_cost_usd < p_max_cost_usd
    else p_used_cost_usd + p_cost_usd <= p_max_cost_usd
  end);

create function account_campaign_spending(
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
    with held as (
      select m.id, m.run_id, t.place, t.tokens, t.cost_usd, t.ask_tokens, t.ask_cost_usd,
        t.tokens - coalesce(m.counted_tokens, m.ai_tokens_used, 0) as new_tokens,
        t.cost_usd - coalesce(m.counted_cost_usd, m.cost_usd, 0) as new_cost,
        coalesce(m.reserved_tokens, 0) as back_tokens,
        coalesce(m.reserved_cost_usd, 0) as back_cost,
        (m.reserved_tokens is not null and m.reserved_cost_usd is null)::integer as back_unpriced,
        m.reserved_on,
        coalesce(m.reserved_on, v_day) as count_on
      from jsonb_to_recordset(p_rows) as t (place integer, message_id uuid, owner uuid, fence bigint, tokens bigint,
                                            cost_usd numeric, ask_tokens bigint, ask_cost_usd numeric)
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
        where m.run_id = v_row.run_id and m.status in ('generating', 'sending') and m.id <> v_row.id
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

create function count_lost_campaign_calls(p_message_ids uuid[])
returns void
language plpgsql set search_path from current
as $$
declare
  v_lost record;
begin
  select array_agg(m.id) as ids, array_agg(m.run_id) as runs, array_agg(m.reserved_on) as days,
    array_agg(m.reserved_tokens) as tokens, array_agg(coalesce(m.reserved_cost_usd, 0)) as costs,
    array_agg(-m.reserved_tokens) as less_tokens, array_agg(-coalesce(m.reserved_cost_usd, 0)) as less_costs,
    array_agg(-(m.reserved_cost_usd is null)::integer) as less_unpriced
  into v_lost
  from campaign_messages m
  where m.id = any (p_message_ids) and m.reserved_tokens is not null;
  if v_lost.ids is null then
    return;
  end if;

  perform from daily_spending d where d.day = any (v_lost.days) order by d.day desc for no key update;
  perform count_campaign_spending(v_lost.runs, v_lost.days, v_lost.tokens, v_lost.costs,
    v_lost.less_tokens, v_lost.less_costs, v_lost.less_unpriced);
  insert into campaign_logs (run_id, message_id, lead_id, step_name, level, message, details)
  select m.run_id, m.id, m.lead_id, 'GERAÇÃO_IA', 'warning',
    'its worker was lost during a call that may have been paid: it is counted with what it may have cost',
    jsonb_build_object('tokens', m.reserved_tokens, 'cost_usd', m.reserved_cost_usd)
  from campaign_messages m
  where m.id = any (v_lost.ids);
  update campaign_messages m
  set counted_tokens = coalesce(m.counted_tokens, m.ai_tokens_used, 0) + m.reserved_tokens,
      counted_cost_usd = coalesce(m.counted_cost_usd, m.cost_usd, 0) + coalesce(m.reserved_cost_usd, 0),
      reserved_tokens = null,
      reserved_cost_usd = null,
      reserved_on = null
  where m.id = any (v_lost.ids);
end;
$$;

create or replace function mark_old_campaign_messages_as_skipped(p_one_hour_ago timestamptz, p_limit integer default null)
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
    where r.status = 'running' and (r.resumed_at is null or r.resumed_at < p_one_hour_ago)
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
      select from campaign_messages m where m.status in ('generating', 'sending') and m.claimed_by = w.incarnation);

  select array_agg(s.id) into v_message_ids
  from (
    select m.id
    from campaign_messages m
    where m.status in ('generating', 'sending')
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

comment on column campaign_runs.max_tokens is 'Most tokens that it may use; null for no limit.';
comment on column campaign_runs.max_cost_usd is 'Most US dollars that its calls may cost; null for no limit.';
comment on column campaign_runs.counted_tokens is
  'Tokens that count against its budget: of all answers, and of calls without one at their most; kept while it has a budget.';
comment on column campaign_runs.counted_cost_usd is
  'US dollars that count against its budget; see counted_tokens.';
comment on column campaign_runs.reserved_tokens is 'The most that its calls under way may take.';
comment on column campaign_runs.reserved_cost_usd is 'The most that its calls under way may cost in US dollars.';
comment on column campaign_runs.unpriced_calls is
  'Calls under way of models that no price is known of: one at a time where US dollars are limited.';
comment on column campaign_runs.resumes_at is 'When it goes on by itself if it is paused then: after a day''s budget.';
comment on column campaign_runs.resumed_at is
  'When it last went on by itself; messages that were due before count as due then.';
comment on index idx_campaign_runs_resumes_at is 'Runs that wait for the next day''s budget.';
comment on column campaign_messages.counted_tokens is
  'Its part of its run''s counted_tokens; null while none of its calls was under a budget.';
comment on column campaign_messages.counted_cost_usd is 'Its part of its run''s counted_cost_usd.';
comment on column campaign_messages.reserved_tokens is 'The most that its call under way may take; null when there is none.';
comment on column campaign_messages.reserved_cost_usd is
  'The most that its call under way may cost in US dollars; null while no price of its model is known.';
comment on column campaign_messages.reserved_on is 'The day whose budget holds the reservation; null where days have none.';
comment on table daily_spending is 'What counts against the budget of a day, of all runs together.';
comment on column daily_spending.day is 'The day in UTC by the clock of the database.';
comment on column daily_spending.counted_tokens is
  'Tokens that count against the budget: of all answers, and of calls without one at their most.';
comment on column daily_spending.counted_cost_usd is 'US dollars that count against the budget; see counted_tokens.';
comment on column daily_spending.reserved_tokens is 'The most that calls under way may take.';
comment on column daily_spending.reserved_cost_usd is 'The most that calls under way may cost in US dollars.';
comment on column daily_spending.unpriced_calls is 'Calls under way of models that no price is known of.';
comment on table model_prices is 'The dearest token of a model on a day, prompts and answers together: for estimates.';
comment on column model_prices.model is 'The model that was asked for.';
comment on column model_prices.day is 'The day in UTC.';
comment on column model_prices.usd_per_token is 'US dollars of an answer by its tokens, those of its prompt included.';
comment on function count_campaign_spending(uuid[], date[], bigint[], numeric[], bigint[], numeric[], integer[]) is
  'Adds to what is counted and reserved of runs and of days, item by item of the arrays.';
comment on function budget_fits(bigint, numeric, bigint, numeric, integer, bigint, numeric) is
  'Whether a call fits into a budget of which so much is used: the rule of trioqueue/domain/budgets.py.';
comment on function account_campaign_spending(jsonb, uuid[], uuid[], bigint, numeric, jsonb) is
  'Counts what held messages have spent, and reserves what their next calls may cost: granted, reserved by others, spent or stopped.';
comment on function count_lost_campaign_calls(uuid[]) is
  'Counts calls of lost workers with the most that they may have cost, because they may have been paid, and logs it.';
