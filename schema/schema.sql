-- The schema as all migrations leave it. Written by scripts/dump-schema; a test holds it equal to the migrations.

CREATE SCHEMA trioqueue;

CREATE FUNCTION trioqueue.account_campaign_spending(p_rows jsonb, p_message_ids uuid[], p_run_ids uuid[], p_day_max_tokens bigint, p_day_max_cost_usd numeric, p_prices jsonb) RETURNS TABLE(message_id uuid, answer text)
    LANGUAGE plpgsql
    SET search_path TO 'trioqueue', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION trioqueue.account_campaign_spending(p_rows jsonb, p_message_ids uuid[], p_run_ids uuid[], p_day_max_tokens bigint, p_day_max_cost_usd numeric, p_prices jsonb) IS 'Counts what held messages have spent, and reserves what their next calls may cost: granted, reserved by others, spent or stopped.';

CREATE FUNCTION trioqueue.budget_fits(p_max_tokens bigint, p_max_cost_usd numeric, p_used_tokens bigint, p_used_cost_usd numeric, p_unpriced integer, p_tokens bigint, p_cost_usd numeric) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'trioqueue', 'pg_temp'
    RETURN (((p_max_tokens IS NULL) OR ((p_used_tokens + p_tokens) <= p_max_tokens)) AND ((p_max_cost_usd IS NULL) OR CASE WHEN (p_cost_usd IS NULL) THEN ((p_unpriced = 0) AND (p_used_cost_usd < p_max_cost_usd)) ELSE ((p_used_cost_usd + p_cost_usd) <= p_max_cost_usd) END));

COMMENT ON FUNCTION trioqueue.budget_fits(p_max_tokens bigint, p_max_cost_usd numeric, p_used_tokens bigint, p_used_cost_usd numeric, p_unpriced integer, p_tokens bigint, p_cost_usd numeric) IS 'Whether a call fits into a budget of which so much is used: the rule of trioqueue/domain/budgets.py.';

CREATE TABLE trioqueue.campaign_logs (
    id bigint NOT NULL,
    run_id uuid NOT NULL,
    message_id uuid,
    lead_id uuid,
    step_name text NOT NULL,
    level text NOT NULL,
    message text NOT NULL,
    details jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT campaign_logs_level_check CHECK ((level = ANY (ARRAY['debug'::text, 'info'::text, 'success'::text, 'warning'::text, 'error'::text]))),
    CONSTRAINT campaign_logs_step_name_check CHECK ((step_name = ANY (ARRAY['INICIALIZAÇÃO'::text, 'GERAÇÃO_IA'::text, 'FRACIONAMENTO'::text, 'ENVIO_WHATSAPP'::text, 'RETRY'::text, 'FINALIZAÇÃO'::text, 'ERRO'::text, 'RATE_LIMIT'::text, 'TIMEOUT'::text, 'CREDITOS_INSUFICIENTES'::text, 'API_KEY_INVALIDA'::text, 'MODELO_INDISPONIVEL'::text, 'INSTANCE_SWITCH'::text])))
);

COMMENT ON TABLE trioqueue.campaign_logs IS 'What happened, for the people who run campaigns.';

COMMENT ON COLUMN trioqueue.campaign_logs.id IS 'Order of writing.';

COMMENT ON COLUMN trioqueue.campaign_logs.run_id IS 'The run.';

COMMENT ON COLUMN trioqueue.campaign_logs.message_id IS 'The message; null when the row is about the run.';

COMMENT ON COLUMN trioqueue.campaign_logs.lead_id IS 'The lead; null when the row is about the run.';

COMMENT ON COLUMN trioqueue.campaign_logs.step_name IS 'The step, in the words of the front end.';

COMMENT ON COLUMN trioqueue.campaign_logs.level IS 'debug, info, success, warning or error.';

COMMENT ON COLUMN trioqueue.campaign_logs.message IS 'What happened, in English.';

COMMENT ON COLUMN trioqueue.campaign_logs.details IS 'Figures of the step, such as generation_time_ms, tokens_used and model.';

COMMENT ON COLUMN trioqueue.campaign_logs.created_at IS 'When it happened.';

CREATE TABLE trioqueue.campaign_messages (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    run_id uuid NOT NULL,
    lead_id uuid NOT NULL,
    phone_number text,
    phone_normalized text,
    status text DEFAULT 'pending'::text NOT NULL,
    scheduled_at timestamp with time zone DEFAULT now() NOT NULL,
    retry_count integer DEFAULT 0 NOT NULL,
    error_message text,
    generated_message text,
    ai_model text,
    ai_tokens_used integer,
    ai_generation_time_ms integer,
    ai_split_time_ms integer,
    send_time_ms integer,
    cost_usd numeric(14,8),
    conversation_id uuid,
    provider_message_id text,
    sent_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    claimed_by uuid,
    claimed_at timestamp with time zone,
    claim_fence bigint DEFAULT 0 NOT NULL,
    counted_tokens bigint,
    counted_cost_usd numeric,
    reserved_tokens bigint,
    reserved_cost_usd numeric,
    reserved_on date,
    CONSTRAINT campaign_messages_ai_generation_time_ms_check CHECK ((ai_generation_time_ms >= 0)),
    CONSTRAINT campaign_messages_ai_split_time_ms_check CHECK ((ai_split_time_ms >= 0)),
    CONSTRAINT campaign_messages_ai_tokens_used_check CHECK ((ai_tokens_used >= 0)),
    CONSTRAINT campaign_messages_check CHECK (((status = ANY (ARRAY['generating'::text, 'sending'::text])) = (claimed_by IS NOT NULL))),
    CONSTRAINT campaign_messages_check1 CHECK (((claimed_by IS NULL) = (claimed_at IS NULL))),
    CONSTRAINT campaign_messages_check2 CHECK (((status <> ALL (ARRAY['sending'::text, 'sent'::text, 'unconfirmed'::text])) OR (generated_message IS NOT NULL))),
    CONSTRAINT campaign_messages_check3 CHECK (((status <> ALL (ARRAY['sent'::text, 'replied'::text])) OR (sent_at IS NOT NULL))),
    CONSTRAINT campaign_messages_claim_fence_check CHECK ((claim_fence >= 0)),
    CONSTRAINT campaign_messages_cost_usd_check CHECK ((cost_usd >= (0)::numeric)),
    CONSTRAINT campaign_messages_counted_check CHECK (((counted_tokens IS NULL) = (counted_cost_usd IS NULL))),
    CONSTRAINT campaign_messages_generated_message_check CHECK ((generated_message <> ''::text)),
    CONSTRAINT campaign_messages_reserved_check CHECK (((reserved_tokens IS NOT NULL) OR ((reserved_cost_usd IS NULL) AND (reserved_on IS NULL)))),
    CONSTRAINT campaign_messages_reserved_cost_usd_check CHECK ((reserved_cost_usd >= (0)::numeric)),
    CONSTRAINT campaign_messages_reserved_tokens_check CHECK ((reserved_tokens > 0)),
    CONSTRAINT campaign_messages_retry_count_check CHECK (((retry_count >= 0) AND (retry_count <= 3))),
    CONSTRAINT campaign_messages_send_time_ms_check CHECK ((send_time_ms >= 0)),
    CONSTRAINT campaign_messages_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'pending'::text, 'generating'::text, 'sending'::text, 'sent'::text, 'failed'::text, 'skipped'::text, 'unconfirmed'::text, 'replied'::text])))
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_cost_delay='0', autovacuum_analyze_scale_factor='0.02');

COMMENT ON TABLE trioqueue.campaign_messages IS 'One message to one lead in one run; see docs/states.md for its states.';

COMMENT ON COLUMN trioqueue.campaign_messages.id IS 'The message.';

COMMENT ON COLUMN trioqueue.campaign_messages.run_id IS 'The run.';

COMMENT ON COLUMN trioqueue.campaign_messages.lead_id IS 'The lead.';

COMMENT ON COLUMN trioqueue.campaign_messages.phone_number IS 'Phone number as it was entered.';

COMMENT ON COLUMN trioqueue.campaign_messages.phone_normalized IS 'Phone number in E.164.';

COMMENT ON COLUMN trioqueue.campaign_messages.status IS 'pending, generating, sending, sent, failed, skipped, unconfirmed or replied; queued is read as pending.';

COMMENT ON COLUMN trioqueue.campaign_messages.scheduled_at IS 'When it is due.';

COMMENT ON COLUMN trioqueue.campaign_messages.retry_count IS 'Requeues so far, at most 3.';

COMMENT ON COLUMN trioqueue.campaign_messages.error_message IS 'What went wrong last.';

COMMENT ON COLUMN trioqueue.campaign_messages.generated_message IS 'The text, stored as soon as it is paid for.';

COMMENT ON COLUMN trioqueue.campaign_messages.ai_model IS 'The model that wrote it, as its answer says.';

COMMENT ON COLUMN trioqueue.campaign_messages.ai_tokens_used IS 'Tokens of all calls for it, failed ones too.';

COMMENT ON COLUMN trioqueue.campaign_messages.ai_generation_time_ms IS 'Milliseconds from the first call to the text, waits included.';

COMMENT ON COLUMN trioqueue.campaign_messages.ai_split_time_ms IS 'Milliseconds that the splitting took.';

COMMENT ON COLUMN trioqueue.campaign_messages.send_time_ms IS 'Milliseconds that the gateway''s answers took, all parts together.';

COMMENT ON COLUMN trioqueue.campaign_messages.cost_usd IS 'Price of all calls for it in US dollars.';

COMMENT ON COLUMN trioqueue.campaign_messages.conversation_id IS 'Where it is sent to.';

COMMENT ON COLUMN trioqueue.campaign_messages.provider_message_id IS 'The gateway''s id of the last part sent.';

COMMENT ON COLUMN trioqueue.campaign_messages.sent_at IS 'When its last part was accepted.';

COMMENT ON COLUMN trioqueue.campaign_messages.created_at IS 'When the row was made.';

COMMENT ON COLUMN trioqueue.campaign_messages.updated_at IS 'When the row was last changed.';

COMMENT ON COLUMN trioqueue.campaign_messages.claimed_by IS 'Incarnation of the worker that holds it; null unless generating or sending.';

COMMENT ON COLUMN trioqueue.campaign_messages.claimed_at IS 'Since when it is held.';

COMMENT ON COLUMN trioqueue.campaign_messages.claim_fence IS 'Grows with every claim; a write that names an earlier one changes nothing.';

COMMENT ON COLUMN trioqueue.campaign_messages.counted_tokens IS 'Its part of its run''s counted_tokens; null while none of its calls was under a budget.';

COMMENT ON COLUMN trioqueue.campaign_messages.counted_cost_usd IS 'Its part of its run''s counted_cost_usd.';

COMMENT ON COLUMN trioqueue.campaign_messages.reserved_tokens IS 'The most that its call under way may take; null when there is none.';

COMMENT ON COLUMN trioqueue.campaign_messages.reserved_cost_usd IS 'The most that its call under way may cost in US dollars; null while no price of its model is known.';

COMMENT ON COLUMN trioqueue.campaign_messages.reserved_on IS 'The day whose budget holds the reservation; null where days have none.';

CREATE TABLE trioqueue.campaign_runs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    config_id uuid NOT NULL,
    status text DEFAULT 'running'::text NOT NULL,
    run_date date DEFAULT CURRENT_DATE NOT NULL,
    leads_total integer DEFAULT 0 NOT NULL,
    leads_processed integer DEFAULT 0 NOT NULL,
    leads_success integer DEFAULT 0 NOT NULL,
    leads_failed integer DEFAULT 0 NOT NULL,
    leads_skipped integer DEFAULT 0 NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    paused_at timestamp with time zone,
    completed_at timestamp with time zone,
    error_message text,
    max_tokens bigint,
    max_cost_usd numeric,
    counted_tokens bigint DEFAULT 0 NOT NULL,
    counted_cost_usd numeric DEFAULT 0 NOT NULL,
    reserved_tokens bigint DEFAULT 0 NOT NULL,
    reserved_cost_usd numeric DEFAULT 0 NOT NULL,
    unpriced_calls integer DEFAULT 0 NOT NULL,
    resumes_at timestamp with time zone,
    resumed_at timestamp with time zone,
    pruned_at timestamp with time zone,
    CONSTRAINT campaign_runs_check CHECK ((leads_processed >= ((leads_success + leads_failed) + leads_skipped))),
    CONSTRAINT campaign_runs_check1 CHECK (((status = 'paused'::text) = (paused_at IS NOT NULL))),
    CONSTRAINT campaign_runs_check2 CHECK (((status <> 'completed'::text) OR (completed_at IS NOT NULL))),
    CONSTRAINT campaign_runs_counted_tokens_check CHECK ((counted_tokens >= 0)),
    CONSTRAINT campaign_runs_leads_failed_check CHECK ((leads_failed >= 0)),
    CONSTRAINT campaign_runs_leads_skipped_check CHECK ((leads_skipped >= 0)),
    CONSTRAINT campaign_runs_leads_success_check CHECK ((leads_success >= 0)),
    CONSTRAINT campaign_runs_leads_total_check CHECK ((leads_total >= 0)),
    CONSTRAINT campaign_runs_max_cost_usd_check CHECK ((max_cost_usd > (0)::numeric)),
    CONSTRAINT campaign_runs_max_tokens_check CHECK ((max_tokens > 0)),
    CONSTRAINT campaign_runs_reserved_cost_usd_check CHECK ((reserved_cost_usd >= (0)::numeric)),
    CONSTRAINT campaign_runs_reserved_tokens_check CHECK ((reserved_tokens >= 0)),
    CONSTRAINT campaign_runs_status_check CHECK ((status = ANY (ARRAY['running'::text, 'paused'::text, 'completed'::text, 'cancelled'::text, 'failed'::text]))),
    CONSTRAINT campaign_runs_unpriced_calls_check CHECK ((unpriced_calls >= 0))
)
WITH (fillfactor='50');

COMMENT ON TABLE trioqueue.campaign_runs IS 'One sending of a campaign. Its counters are exact at every commit.';

COMMENT ON COLUMN trioqueue.campaign_runs.id IS 'The run.';

COMMENT ON COLUMN trioqueue.campaign_runs.config_id IS 'The campaign.';

COMMENT ON COLUMN trioqueue.campaign_runs.status IS 'running, paused, completed, cancelled or failed; see docs/states.md.';

COMMENT ON COLUMN trioqueue.campaign_runs.run_date IS 'Day of the run.';

COMMENT ON COLUMN trioqueue.campaign_runs.leads_total IS 'Messages of the run.';

COMMENT ON COLUMN trioqueue.campaign_runs.leads_processed IS 'Messages sent, failed, skipped or unconfirmed.';

COMMENT ON COLUMN trioqueue.campaign_runs.leads_success IS 'Messages sent.';

COMMENT ON COLUMN trioqueue.campaign_runs.leads_failed IS 'Messages failed for good.';

COMMENT ON COLUMN trioqueue.campaign_runs.leads_skipped IS 'Messages skipped.';

COMMENT ON COLUMN trioqueue.campaign_runs.started_at IS 'When the run was started.';

COMMENT ON COLUMN trioqueue.campaign_runs.paused_at IS 'Since when it is paused; null unless it is.';

COMMENT ON COLUMN trioqueue.campaign_runs.completed_at IS 'When its last message was processed.';

COMMENT ON COLUMN trioqueue.campaign_runs.error_message IS 'Why it is paused or failed.';

COMMENT ON COLUMN trioqueue.campaign_runs.max_tokens IS 'Most tokens that it may use; null for no limit.';

COMMENT ON COLUMN trioqueue.campaign_runs.max_cost_usd IS 'Most US dollars that its calls may cost; null for no limit.';

COMMENT ON COLUMN trioqueue.campaign_runs.counted_tokens IS 'Tokens that count against its budget: of all answers, and of calls without one at their most; kept while it has a budget.';

COMMENT ON COLUMN trioqueue.campaign_runs.counted_cost_usd IS 'US dollars that count against its budget; see counted_tokens.';

COMMENT ON COLUMN trioqueue.campaign_runs.reserved_tokens IS 'The most that its calls under way may take.';

COMMENT ON COLUMN trioqueue.campaign_runs.reserved_cost_usd IS 'The most that its calls under way may cost in US dollars.';

COMMENT ON COLUMN trioqueue.campaign_runs.unpriced_calls IS 'Calls under way of models that no price is known of: one at a time where US dollars are limited.';

COMMENT ON COLUMN trioqueue.campaign_runs.resumes_at IS 'When it goes on by itself if it is paused then: after a day''s budget.';

COMMENT ON COLUMN trioqueue.campaign_runs.resumed_at IS 'When it last went on by itself; messages that were due before count as due then.';

COMMENT ON COLUMN trioqueue.campaign_runs.pruned_at IS 'When its messages and its log were removed, long after it was over; its counters stay.';

CREATE FUNCTION trioqueue.complete_campaign_runs(p_run_ids uuid[]) RETURNS SETOF uuid
    LANGUAGE sql
    SET search_path TO 'trioqueue', 'pg_temp'
    BEGIN ATOMIC
 WITH completed AS (
          UPDATE trioqueue.campaign_runs r SET status = 'completed'::text, completed_at = now(), error_message = NULL::text
           WHERE ((r.id = ANY (complete_campaign_runs.p_run_ids)) AND (r.status = 'running'::text) AND (( SELECT m.id
                    FROM trioqueue.campaign_messages m
                   WHERE ((m.run_id = r.id) AND (m.status = 'pending'::text))
                   ORDER BY m.scheduled_at
                  LIMIT 1) IS NULL) AND (( SELECT m.id
                    FROM trioqueue.campaign_messages m
                   WHERE ((m.run_id = r.id) AND (m.claimed_at IS NOT NULL))
                   ORDER BY m.claimed_by
                  LIMIT 1) IS NULL) AND (NOT (EXISTS ( SELECT
                    FROM trioqueue.campaign_messages m
                   WHERE ((m.run_id = r.id) AND (m.status = 'queued'::text))))))
           RETURNING r.id,
             r.leads_total,
             r.leads_processed,
             r.leads_success,
             r.leads_failed,
             r.leads_skipped
         ), logged AS (
          INSERT INTO trioqueue.campaign_logs (run_id, step_name, level, message, details)  SELECT c_1.id,
                     'FINALIZAÇÃO',
                     'success',
                     'run completed',
                     jsonb_build_object('leads_total', c_1.leads_total, 'leads_processed', c_1.leads_processed, 'leads_success', c_1.leads_success, 'leads_failed', c_1.leads_failed, 'leads_skipped', c_1.leads_skipped) AS jsonb_build_object
                    FROM completed c_1
         )
  SELECT c.id
    FROM completed c;
END;

COMMENT ON FUNCTION trioqueue.complete_campaign_runs(p_run_ids uuid[]) IS 'Completes those of the runs that have no open message, and logs it; returns them.';

CREATE FUNCTION trioqueue.count_campaign_messages(p_run_ids uuid[], p_statuses text[], p_sign integer DEFAULT 1) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'trioqueue', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION trioqueue.count_campaign_messages(p_run_ids uuid[], p_statuses text[], p_sign integer) IS 'Adds processed messages (or takes them away, with sign -1) to the counters of their runs.';

CREATE TABLE trioqueue.daily_spending (
    day date NOT NULL,
    counted_tokens bigint DEFAULT 0 NOT NULL,
    counted_cost_usd numeric DEFAULT 0 NOT NULL,
    reserved_tokens bigint DEFAULT 0 NOT NULL,
    reserved_cost_usd numeric DEFAULT 0 NOT NULL,
    unpriced_calls integer DEFAULT 0 NOT NULL,
    CONSTRAINT daily_spending_counted_tokens_check CHECK ((counted_tokens >= 0)),
    CONSTRAINT daily_spending_reserved_cost_usd_check CHECK ((reserved_cost_usd >= (0)::numeric)),
    CONSTRAINT daily_spending_reserved_tokens_check CHECK ((reserved_tokens >= 0)),
    CONSTRAINT daily_spending_unpriced_calls_check CHECK ((unpriced_calls >= 0))
)
WITH (fillfactor='10', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='200', autovacuum_vacuum_cost_delay='0');

COMMENT ON TABLE trioqueue.daily_spending IS 'What counts against the budget of a day, of all runs together.';

COMMENT ON COLUMN trioqueue.daily_spending.day IS 'The day in UTC by the clock of the database.';

COMMENT ON COLUMN trioqueue.daily_spending.counted_tokens IS 'Tokens that count against the budget: of all answers, and of calls without one at their most.';

COMMENT ON COLUMN trioqueue.daily_spending.counted_cost_usd IS 'US dollars that count against the budget; see counted_tokens.';

COMMENT ON COLUMN trioqueue.daily_spending.reserved_tokens IS 'The most that calls under way may take.';

COMMENT ON COLUMN trioqueue.daily_spending.reserved_cost_usd IS 'The most that calls under way may cost in US dollars.';

COMMENT ON COLUMN trioqueue.daily_spending.unpriced_calls IS 'Calls under way of models that no price is known of.';

CREATE FUNCTION trioqueue.count_campaign_spending(p_run_ids uuid[], p_days date[], p_tokens bigint[], p_costs numeric[], p_reserved_tokens bigint[], p_reserved_costs numeric[], p_unpriced integer[]) RETURNS void
    LANGUAGE sql
    SET search_path TO 'trioqueue', 'pg_temp'
    BEGIN ATOMIC
 UPDATE trioqueue.campaign_runs r SET counted_tokens = ((r.counted_tokens)::numeric + c.tokens), counted_cost_usd = (r.counted_cost_usd + c.cost), reserved_tokens = ((r.reserved_tokens)::numeric + c.reserved_tokens), reserved_cost_usd = (r.reserved_cost_usd + c.reserved_cost), unpriced_calls = (r.unpriced_calls + c.unpriced)
    FROM ( SELECT u.run_id,
             sum(u.tokens) AS tokens,
             sum(u.cost) AS cost,
             sum(u.reserved_tokens) AS reserved_tokens,
             sum(u.reserved_cost) AS reserved_cost,
             sum(u.unpriced) AS unpriced
            FROM UNNEST(count_campaign_spending.p_run_ids, count_campaign_spending.p_tokens, count_campaign_spending.p_costs, count_campaign_spending.p_reserved_tokens, count_campaign_spending.p_reserved_costs, count_campaign_spending.p_unpriced) u(run_id, tokens, cost, reserved_tokens, reserved_cost, unpriced)
           GROUP BY u.run_id) c
   WHERE ((r.id = c.run_id) AND ((c.tokens <> (0)::numeric) OR (c.cost <> (0)::numeric) OR (c.reserved_tokens <> (0)::numeric) OR (c.reserved_cost <> (0)::numeric) OR (c.unpriced <> 0)));
 UPDATE trioqueue.daily_spending d SET counted_tokens = ((d.counted_tokens)::numeric + c.tokens), counted_cost_usd = (d.counted_cost_usd + c.cost), reserved_tokens = ((d.reserved_tokens)::numeric + c.reserved_tokens), reserved_cost_usd = (d.reserved_cost_usd + c.reserved_cost), unpriced_calls = (d.unpriced_calls + c.unpriced)
    FROM ( SELECT u.day,
             sum(u.tokens) AS tokens,
             sum(u.cost) AS cost,
             sum(u.reserved_tokens) AS reserved_tokens,
             sum(u.reserved_cost) AS reserved_cost,
             sum(u.unpriced) AS unpriced
            FROM UNNEST(count_campaign_spending.p_days, count_campaign_spending.p_tokens, count_campaign_spending.p_costs, count_campaign_spending.p_reserved_tokens, count_campaign_spending.p_reserved_costs, count_campaign_spending.p_unpriced) u(day, tokens, cost, reserved_tokens, reserved_cost, unpriced)
           GROUP BY u.day) c
   WHERE ((d.day = c.day) AND ((c.tokens <> (0)::numeric) OR (c.cost <> (0)::numeric) OR (c.reserved_tokens <> (0)::numeric) OR (c.reserved_cost <> (0)::numeric) OR (c.unpriced <> 0)));
END;

COMMENT ON FUNCTION trioqueue.count_campaign_spending(p_run_ids uuid[], p_days date[], p_tokens bigint[], p_costs numeric[], p_reserved_tokens bigint[], p_reserved_costs numeric[], p_unpriced integer[]) IS 'Adds to what is counted and reserved of runs and of days, item by item of the arrays.';

CREATE FUNCTION trioqueue.count_lost_campaign_calls(p_message_ids uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'trioqueue', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION trioqueue.count_lost_campaign_calls(p_message_ids uuid[]) IS 'Counts calls of lost workers with the most that they may have cost, because they may have been paid, and logs it.';

CREATE FUNCTION trioqueue.finish_campaign_messages(p_rows jsonb) RETURNS SETOF uuid
    LANGUAGE plpgsql
    SET search_path TO 'trioqueue', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION trioqueue.finish_campaign_messages(p_rows jsonb) IS 'Moves held messages to a final state, counts them and completes their runs; returns those that were still held.';

CREATE TABLE trioqueue.leads (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    workspace_id uuid NOT NULL,
    client_name text,
    company text,
    primary_email text,
    primary_phone text,
    phone_normalized text,
    primary_website text,
    deal_value numeric(14,2),
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    custom_fields jsonb DEFAULT '{}'::jsonb NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT leads_custom_fields_check CHECK ((jsonb_typeof(custom_fields) = 'object'::text)),
    CONSTRAINT leads_phone_normalized_check CHECK ((phone_normalized ~ '^\+[1-9][0-9]{6,14}$'::text))
);

COMMENT ON TABLE trioqueue.leads IS 'People that campaigns write to. One row a workspace and phone number.';

COMMENT ON COLUMN trioqueue.leads.id IS 'The lead.';

COMMENT ON COLUMN trioqueue.leads.workspace_id IS 'The tenant that the lead belongs to.';

COMMENT ON COLUMN trioqueue.leads.client_name IS 'Name of the person.';

COMMENT ON COLUMN trioqueue.leads.company IS 'Name of the company.';

COMMENT ON COLUMN trioqueue.leads.primary_email IS 'E-mail address, not validated.';

COMMENT ON COLUMN trioqueue.leads.primary_phone IS 'Phone number as it was entered.';

COMMENT ON COLUMN trioqueue.leads.phone_normalized IS 'Phone number in E.164, such as +5511987654321.';

COMMENT ON COLUMN trioqueue.leads.primary_website IS 'Web site as it was entered.';

COMMENT ON COLUMN trioqueue.leads.deal_value IS 'Value of the deal in the workspace''s currency.';

COMMENT ON COLUMN trioqueue.leads.tags IS 'Labels of the CRM.';

COMMENT ON COLUMN trioqueue.leads.custom_fields IS 'Any other facts: an object of name and value.';

COMMENT ON COLUMN trioqueue.leads.status IS 'The CRM''s own state of the lead. To one that is opted_out nothing is sent; trioqueue reads no other.';

COMMENT ON COLUMN trioqueue.leads.created_at IS 'When the row was made.';

COMMENT ON COLUMN trioqueue.leads.updated_at IS 'When the row was last changed by an import.';

CREATE FUNCTION trioqueue.get_leads_full_context(p_lead_ids uuid[]) RETURNS TABLE(lead_id uuid, context jsonb)
    LANGUAGE sql STABLE
    SET search_path TO 'trioqueue', 'pg_temp'
    BEGIN ATOMIC
 SELECT l.id,
     jsonb_strip_nulls(jsonb_build_object('client_name', l.client_name, 'company', l.company, 'primary_email', l.primary_email, 'primary_phone', l.primary_phone, 'primary_website', l.primary_website, 'deal_value', l.deal_value, 'tags',
         CASE
             WHEN (l.tags <> '{}'::text[]) THEN to_jsonb(l.tags)
             ELSE NULL::jsonb
         END, 'custom_fields',
         CASE
             WHEN (l.custom_fields <> '{}'::jsonb) THEN l.custom_fields
             ELSE NULL::jsonb
         END)) AS jsonb_strip_nulls
    FROM trioqueue.leads l
   WHERE (l.id = ANY (get_leads_full_context.p_lead_ids));
END;

COMMENT ON FUNCTION trioqueue.get_leads_full_context(p_lead_ids uuid[]) IS 'Contexts of many leads in one query; a lead named twice comes once.';

CREATE FUNCTION trioqueue.get_lead_full_context(p_lead_id uuid) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'trioqueue', 'pg_temp'
    BEGIN ATOMIC
 SELECT c.context
    FROM trioqueue.get_leads_full_context(ARRAY[get_lead_full_context.p_lead_id]) c(lead_id, context);
END;

COMMENT ON FUNCTION trioqueue.get_lead_full_context(p_lead_id uuid) IS 'Context of one lead, null when there is none.';

CREATE FUNCTION trioqueue.mark_old_campaign_messages_as_skipped(p_one_hour_ago timestamp with time zone, p_limit integer DEFAULT NULL::integer) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'trioqueue', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION trioqueue.mark_old_campaign_messages_as_skipped(p_one_hour_ago timestamp with time zone, p_limit integer) IS 'Skips the pending messages of running runs that were due before the given time, as many as the limit says; returns how many.';

CREATE FUNCTION trioqueue.prune_campaign_run(p_days integer, p_limit integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'trioqueue', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION trioqueue.prune_campaign_run(p_days integer, p_limit integer) IS 'Removes up to so many messages or lines of the log of the run that has been over for longest, if for so many days, and says how many rows it changed; 0 when there is nothing to remove or another is at it.';

CREATE FUNCTION trioqueue.reopen_campaign_runs(p_run_ids uuid[]) RETURNS void
    LANGUAGE sql
    SET search_path TO 'trioqueue', 'pg_temp'
    BEGIN ATOMIC
 WITH reopened AS (
          UPDATE trioqueue.campaign_runs r SET status = 'running'::text, completed_at = NULL::timestamp with time zone
           WHERE ((r.id = ANY (reopen_campaign_runs.p_run_ids)) AND (r.status = 'completed'::text))
           RETURNING r.id
         )
  INSERT INTO trioqueue.campaign_logs (run_id, step_name, level, message)  SELECT r.id,
             'INICIALIZAÇÃO',
             'info',
             'run goes on: a message of it is pending again'
            FROM reopened r;
END;

COMMENT ON FUNCTION trioqueue.reopen_campaign_runs(p_run_ids uuid[]) IS 'Makes those of the runs running again that are completed, because a message of each is pending again.';

CREATE FUNCTION trioqueue.rescue_campaign_messages(p_limit integer, p_idempotent boolean, p_worker uuid DEFAULT NULL::uuid, p_held uuid[] DEFAULT '{}'::uuid[]) RETURNS TABLE(released integer, unconfirmed integer)
    LANGUAGE plpgsql
    SET search_path TO 'trioqueue', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION trioqueue.rescue_campaign_messages(p_limit integer, p_idempotent boolean, p_worker uuid, p_held uuid[]) IS 'Takes messages from workers whose lease has run out, and from the asking worker those that it does not know of: those with a part under way become unconfirmed (pending where the gateway is idempotent), the others pending.';

CREATE FUNCTION trioqueue.resume_campaign_run(p_run_id uuid) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'trioqueue', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION trioqueue.resume_campaign_run(p_run_id uuid) IS 'Resumes a paused run and moves the due times of its pending messages by the length of the pause; false when it was not paused.';

CREATE FUNCTION trioqueue.retry_campaign_message(p_message_id uuid) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'trioqueue', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION trioqueue.retry_campaign_message(p_message_id uuid) IS 'Makes a failed or skipped message pending again, due now; false when it is neither, or its run is over.';

CREATE FUNCTION trioqueue.return_campaign_messages(p_rows jsonb) RETURNS SETOF uuid
    LANGUAGE plpgsql
    SET search_path TO 'trioqueue', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION trioqueue.return_campaign_messages(p_rows jsonb) IS 'Gives held messages back to pending, or skips them where their run was cancelled; returns those that were still held.';

CREATE FUNCTION trioqueue.settle_campaign_messages(p_rows jsonb, p_settled_by text) RETURNS TABLE(message_id uuid, became text)
    LANGUAGE plpgsql
    SET search_path TO 'trioqueue', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION trioqueue.settle_campaign_messages(p_rows jsonb, p_settled_by text) IS 'Says of unconfirmed messages whether their unknown part is sent or planned again (all of them, or the one and the attempt that a row names); returns the messages that are settled and what they became.';

CREATE FUNCTION trioqueue.skip_cancelled_campaign_messages(p_run_id uuid, p_limit integer) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'trioqueue', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION trioqueue.skip_cancelled_campaign_messages(p_run_id uuid, p_limit integer) IS 'Skips messages of a cancelled run that nobody holds, as many as the limit says; returns how many.';

CREATE TABLE trioqueue.campaign_configs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    workspace_id uuid NOT NULL,
    name text NOT NULL,
    ai_model text NOT NULL,
    ai_instructions text NOT NULL,
    split_messages boolean DEFAULT true NOT NULL,
    max_split_parts integer DEFAULT 3 NOT NULL,
    min_interval_seconds integer DEFAULT 0 NOT NULL,
    max_interval_seconds integer DEFAULT 0 NOT NULL,
    start_time time without time zone,
    end_time time without time zone,
    timezone text DEFAULT 'America/Sao_Paulo'::text NOT NULL,
    daily_limit integer,
    is_active boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    fallback_models text[],
    CONSTRAINT campaign_configs_ai_model_check CHECK ((ai_model <> ''::text)),
    CONSTRAINT campaign_configs_check CHECK ((max_interval_seconds >= min_interval_seconds)),
    CONSTRAINT campaign_configs_daily_limit_check CHECK ((daily_limit > 0)),
    CONSTRAINT campaign_configs_fallback_models_check CHECK ((array_position(fallback_models, NULL::text) IS NULL)),
    CONSTRAINT campaign_configs_max_split_parts_check CHECK (((max_split_parts >= 1) AND (max_split_parts <= 5))),
    CONSTRAINT campaign_configs_min_interval_seconds_check CHECK ((min_interval_seconds >= 0)),
    CONSTRAINT campaign_configs_name_check CHECK ((name <> ''::text))
);

COMMENT ON TABLE trioqueue.campaign_configs IS 'What a campaign says and how: model, instructions, splitting, pace.';

COMMENT ON COLUMN trioqueue.campaign_configs.id IS 'The campaign.';

COMMENT ON COLUMN trioqueue.campaign_configs.workspace_id IS 'The tenant that the campaign belongs to.';

COMMENT ON COLUMN trioqueue.campaign_configs.name IS 'Name that people know it by.';

COMMENT ON COLUMN trioqueue.campaign_configs.ai_model IS 'Model as OpenRouter names it, such as openai/gpt-4o-mini.';

COMMENT ON COLUMN trioqueue.campaign_configs.ai_instructions IS 'The operator''s instructions: the system prompt.';

COMMENT ON COLUMN trioqueue.campaign_configs.split_messages IS 'Whether messages are split into parts.';

COMMENT ON COLUMN trioqueue.campaign_configs.max_split_parts IS 'The most parts of a message, 1 to 5.';

COMMENT ON COLUMN trioqueue.campaign_configs.min_interval_seconds IS 'Least seconds between two messages'' due times.';

COMMENT ON COLUMN trioqueue.campaign_configs.max_interval_seconds IS 'Most seconds between two messages'' due times.';

COMMENT ON COLUMN trioqueue.campaign_configs.start_time IS 'Start of the daily sending window in `timezone`; null for none.';

COMMENT ON COLUMN trioqueue.campaign_configs.end_time IS 'End of the daily sending window in `timezone`; null for none.';

COMMENT ON COLUMN trioqueue.campaign_configs.timezone IS 'IANA name of the time zone of the window.';

COMMENT ON COLUMN trioqueue.campaign_configs.daily_limit IS 'Most messages a day; null for no limit.';

COMMENT ON COLUMN trioqueue.campaign_configs.is_active IS 'Whether new runs may be started.';

COMMENT ON COLUMN trioqueue.campaign_configs.created_at IS 'When the row was made.';

COMMENT ON COLUMN trioqueue.campaign_configs.updated_at IS 'When the row was last changed.';

COMMENT ON COLUMN trioqueue.campaign_configs.fallback_models IS 'Models that stand in, in this order, while ai_model does not answer; null for those of the worker''s setting.';

ALTER TABLE trioqueue.campaign_logs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME trioqueue.campaign_logs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE trioqueue.campaign_message_parts (
    message_id uuid NOT NULL,
    part_no integer NOT NULL,
    body text NOT NULL,
    status text DEFAULT 'planned'::text NOT NULL,
    idempotency_key text NOT NULL,
    claim_fence bigint,
    provider_message_id text,
    error_message text,
    sent_at timestamp with time zone,
    intended_at timestamp with time zone,
    looked_up_at timestamp with time zone,
    CONSTRAINT campaign_message_parts_body_check CHECK (((char_length(body) >= 1) AND (char_length(body) <= 4096))),
    CONSTRAINT campaign_message_parts_check CHECK (((status = 'sent'::text) = (sent_at IS NOT NULL))),
    CONSTRAINT campaign_message_parts_part_no_check CHECK (((part_no >= 1) AND (part_no <= 5))),
    CONSTRAINT campaign_message_parts_status_check CHECK ((status = ANY (ARRAY['planned'::text, 'sending'::text, 'sent'::text, 'rejected'::text, 'unknown'::text])))
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');

COMMENT ON TABLE trioqueue.campaign_message_parts IS 'The send ledger: what was meant to be sent, and what came of it.';

COMMENT ON COLUMN trioqueue.campaign_message_parts.message_id IS 'The message.';

COMMENT ON COLUMN trioqueue.campaign_message_parts.part_no IS 'Number of the part, from 1.';

COMMENT ON COLUMN trioqueue.campaign_message_parts.body IS 'Its final text.';

COMMENT ON COLUMN trioqueue.campaign_message_parts.status IS 'planned; sending (committed before the request starts); sent, rejected or unknown.';

COMMENT ON COLUMN trioqueue.campaign_message_parts.idempotency_key IS 'The same for every attempt to send the part.';

COMMENT ON COLUMN trioqueue.campaign_message_parts.claim_fence IS 'Fence of the claim that last meant to send it.';

COMMENT ON COLUMN trioqueue.campaign_message_parts.provider_message_id IS 'The gateway''s id of the part.';

COMMENT ON COLUMN trioqueue.campaign_message_parts.error_message IS 'Why it was not sent, or why that is not known.';

COMMENT ON COLUMN trioqueue.campaign_message_parts.sent_at IS 'When the gateway accepted it.';

COMMENT ON COLUMN trioqueue.campaign_message_parts.intended_at IS 'When it was last meant to leave, just before the request.';

COMMENT ON COLUMN trioqueue.campaign_message_parts.looked_up_at IS 'When the gateway was last asked what became of it; null when it never was.';

CREATE TABLE trioqueue.conversations (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    workspace_id uuid NOT NULL,
    lead_id uuid,
    contact_phone text NOT NULL,
    campaign_run_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    taken_over_at timestamp with time zone
);

COMMENT ON TABLE trioqueue.conversations IS 'The thread that a gateway sends into. One row a workspace and phone number.';

COMMENT ON COLUMN trioqueue.conversations.id IS 'The conversation; the gateway is given this id.';

COMMENT ON COLUMN trioqueue.conversations.workspace_id IS 'The tenant that the conversation belongs to.';

COMMENT ON COLUMN trioqueue.conversations.lead_id IS 'The lead on the other end.';

COMMENT ON COLUMN trioqueue.conversations.contact_phone IS 'Phone number in E.164.';

COMMENT ON COLUMN trioqueue.conversations.campaign_run_id IS 'The last run that wrote into it.';

COMMENT ON COLUMN trioqueue.conversations.created_at IS 'When the row was made.';

COMMENT ON COLUMN trioqueue.conversations.taken_over_at IS 'Since when a person writes into it; null when nobody does. Nothing is sent into it meanwhile.';

CREATE TABLE trioqueue.model_gates (
    account text NOT NULL,
    model text NOT NULL,
    cause text NOT NULL,
    reason text NOT NULL,
    trips integer DEFAULT 0 NOT NULL,
    shut_until timestamp with time zone NOT NULL,
    prober uuid,
    probe_until timestamp with time zone,
    CONSTRAINT model_gates_cause_check CHECK ((cause = ANY (ARRAY['rate_limit'::text, 'faults'::text]))),
    CONSTRAINT model_gates_check CHECK (((prober IS NULL) = (probe_until IS NULL))),
    CONSTRAINT model_gates_trips_check CHECK ((trips >= 0))
);

COMMENT ON TABLE trioqueue.model_gates IS 'Models that no worker calls for now, and who may try whether they answer again.';

COMMENT ON COLUMN trioqueue.model_gates.account IS 'Whose limits these are: a digest of the service''s address and key.';

COMMENT ON COLUMN trioqueue.model_gates.model IS 'The model as the service names it.';

COMMENT ON COLUMN trioqueue.model_gates.cause IS 'rate_limit, or faults of the service that did not end.';

COMMENT ON COLUMN trioqueue.model_gates.reason IS 'The answer that shut the gate.';

COMMENT ON COLUMN trioqueue.model_gates.trips IS 'How often faults have shut it since it was last open.';

COMMENT ON COLUMN trioqueue.model_gates.shut_until IS 'When one call may be made, the probe.';

COMMENT ON COLUMN trioqueue.model_gates.prober IS 'Incarnation of the worker that makes the probe; null when nobody does.';

COMMENT ON COLUMN trioqueue.model_gates.probe_until IS 'When another worker may make the probe in its place.';

CREATE TABLE trioqueue.model_prices (
    model text NOT NULL,
    day date NOT NULL,
    usd_per_token numeric NOT NULL,
    CONSTRAINT model_prices_usd_per_token_check CHECK ((usd_per_token >= (0)::numeric))
);

COMMENT ON TABLE trioqueue.model_prices IS 'The dearest token of a model on a day, prompts and answers together: for estimates.';

COMMENT ON COLUMN trioqueue.model_prices.model IS 'The model that was asked for.';

COMMENT ON COLUMN trioqueue.model_prices.day IS 'The day in UTC.';

COMMENT ON COLUMN trioqueue.model_prices.usd_per_token IS 'US dollars of an answer by its tokens, those of its prompt included.';

CREATE TABLE trioqueue.schema_migrations (
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE trioqueue.workers (
    incarnation uuid NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    lease interval NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    beat_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT workers_lease_check CHECK ((lease > '00:00:00'::interval))
)
WITH (fillfactor='50');

COMMENT ON TABLE trioqueue.workers IS 'One row an incarnation of a worker process; its heartbeat is the lease of all its claims.';

COMMENT ON COLUMN trioqueue.workers.incarnation IS 'Fresh for every process: host names and pids are reused.';

COMMENT ON COLUMN trioqueue.workers.host IS 'Host name, for people.';

COMMENT ON COLUMN trioqueue.workers.pid IS 'Process id, for people.';

COMMENT ON COLUMN trioqueue.workers.lease IS 'How long after its last heartbeat the worker counts as alive.';

COMMENT ON COLUMN trioqueue.workers.started_at IS 'When the process registered.';

COMMENT ON COLUMN trioqueue.workers.beat_at IS 'Last heartbeat, by the clock of the database.';

ALTER TABLE ONLY trioqueue.campaign_configs
    ADD CONSTRAINT campaign_configs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY trioqueue.campaign_logs
    ADD CONSTRAINT campaign_logs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY trioqueue.campaign_message_parts
    ADD CONSTRAINT campaign_message_parts_pkey PRIMARY KEY (message_id, part_no);

ALTER TABLE ONLY trioqueue.campaign_messages
    ADD CONSTRAINT campaign_messages_pkey PRIMARY KEY (id);

ALTER TABLE ONLY trioqueue.campaign_messages
    ADD CONSTRAINT campaign_messages_run_id_lead_id_key UNIQUE (run_id, lead_id);

ALTER TABLE ONLY trioqueue.campaign_runs
    ADD CONSTRAINT campaign_runs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY trioqueue.conversations
    ADD CONSTRAINT conversations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY trioqueue.conversations
    ADD CONSTRAINT conversations_workspace_id_contact_phone_key UNIQUE (workspace_id, contact_phone);

ALTER TABLE ONLY trioqueue.daily_spending
    ADD CONSTRAINT daily_spending_pkey PRIMARY KEY (day);

ALTER TABLE ONLY trioqueue.leads
    ADD CONSTRAINT idx_leads_id_for_context PRIMARY KEY (id) INCLUDE (client_name, primary_email, primary_phone, primary_website);

ALTER TABLE ONLY trioqueue.model_gates
    ADD CONSTRAINT model_gates_pkey PRIMARY KEY (account, model);

ALTER TABLE ONLY trioqueue.model_prices
    ADD CONSTRAINT model_prices_pkey PRIMARY KEY (model, day);

ALTER TABLE ONLY trioqueue.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY trioqueue.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (incarnation);

CREATE INDEX idx_campaign_logs_run ON trioqueue.campaign_logs USING btree (run_id, id);

COMMENT ON INDEX trioqueue.idx_campaign_logs_run IS 'The log of a run in order.';

CREATE INDEX idx_campaign_messages_atomic_selection ON trioqueue.campaign_messages USING btree (run_id, status, scheduled_at) WHERE (status = 'pending'::text);

COMMENT ON INDEX trioqueue.idx_campaign_messages_atomic_selection IS 'The queue: due messages of a run in order of their due time.';

CREATE INDEX idx_campaign_messages_claimed ON trioqueue.campaign_messages USING btree (run_id, claimed_by) WHERE (claimed_at IS NOT NULL);

COMMENT ON INDEX trioqueue.idx_campaign_messages_claimed IS 'Messages in the hands of workers, for rescue and for completing runs.';

CREATE INDEX idx_campaign_messages_queued ON trioqueue.campaign_messages USING btree (run_id) WHERE (status = 'queued'::text);

COMMENT ON INDEX trioqueue.idx_campaign_messages_queued IS 'Messages that other programs wrote as queued; empty ordinarily.';

CREATE INDEX idx_campaign_messages_unconfirmed ON trioqueue.campaign_messages USING btree (run_id) WHERE (status = 'unconfirmed'::text);

COMMENT ON INDEX trioqueue.idx_campaign_messages_unconfirmed IS 'Messages that wait for a person or a reconciliation.';

CREATE INDEX idx_campaign_runs_id_status ON trioqueue.campaign_runs USING btree (id, status) WHERE (status = 'running'::text);

COMMENT ON INDEX trioqueue.idx_campaign_runs_id_status IS 'Running runs, for the claim; finished runs are not in it.';

CREATE INDEX idx_campaign_runs_resumes_at ON trioqueue.campaign_runs USING btree (resumes_at) WHERE (resumes_at IS NOT NULL);

COMMENT ON INDEX trioqueue.idx_campaign_runs_resumes_at IS 'Runs that wait for the next day''s budget.';

CREATE INDEX idx_campaign_runs_to_prune ON trioqueue.campaign_runs USING btree (completed_at) WHERE ((pruned_at IS NULL) AND (status = ANY (ARRAY['completed'::text, 'cancelled'::text, 'failed'::text])));

COMMENT ON INDEX trioqueue.idx_campaign_runs_to_prune IS 'Runs that are over and have not been pruned.';

COMMENT ON INDEX trioqueue.idx_leads_id_for_context IS 'Primary key and covering index of the context query: what most contexts need without a visit to the table.';

CREATE UNIQUE INDEX idx_leads_workspace_phone ON trioqueue.leads USING btree (workspace_id, phone_normalized);

COMMENT ON INDEX trioqueue.idx_leads_workspace_phone IS 'The same phone twice in a workspace is one lead; imports find it here.';

ALTER TABLE ONLY trioqueue.campaign_message_parts
    ADD CONSTRAINT campaign_message_parts_message_id_fkey FOREIGN KEY (message_id) REFERENCES trioqueue.campaign_messages(id) ON DELETE CASCADE;

ALTER TABLE ONLY trioqueue.campaign_messages
    ADD CONSTRAINT campaign_messages_conversation_id_fkey FOREIGN KEY (conversation_id) REFERENCES trioqueue.conversations(id);

ALTER TABLE ONLY trioqueue.campaign_messages
    ADD CONSTRAINT campaign_messages_lead_id_fkey FOREIGN KEY (lead_id) REFERENCES trioqueue.leads(id);

ALTER TABLE ONLY trioqueue.campaign_messages
    ADD CONSTRAINT campaign_messages_run_id_fkey FOREIGN KEY (run_id) REFERENCES trioqueue.campaign_runs(id);

ALTER TABLE ONLY trioqueue.campaign_runs
    ADD CONSTRAINT campaign_runs_config_id_fkey FOREIGN KEY (config_id) REFERENCES trioqueue.campaign_configs(id);

ALTER TABLE ONLY trioqueue.conversations
    ADD CONSTRAINT conversations_campaign_run_id_fkey FOREIGN KEY (campaign_run_id) REFERENCES trioqueue.campaign_runs(id);

ALTER TABLE ONLY trioqueue.conversations
    ADD CONSTRAINT conversations_lead_id_fkey FOREIGN KEY (lead_id) REFERENCES trioqueue.leads(id);
