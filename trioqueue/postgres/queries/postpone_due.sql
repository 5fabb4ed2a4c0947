-- Makes due messages of running runs that can use none but these models due when the first of them may be called,
-- %(limit)s at most. Else they would be claimed only to be snoozed one by one, or skipped as too old.
with shut as (
  select s.model, s.seconds from jsonb_to_recordset(%(rows)s::jsonb) as s (model text, seconds float8)
), runs as (
  select r.id, (select min(s.seconds) from shut s where s.model = any (w.models)) as seconds
  from {schema}.campaign_runs r
  join {schema}.campaign_configs g on g.id = r.config_id
  cross join lateral (
    select array_append(coalesce(g.fallback_models, %(fallback_models)s::text[]), g.ai_model) as models
  ) w
  where r.status = 'running' and w.models <@ array(select s.model from shut s)
), due as materialized (
  select m.id, r.seconds
  from runs r
  cross join lateral (
    select m.id
    from {schema}.campaign_messages m
    where m.run_id = r.id and m.status = 'pending' and m.scheduled_at <= now()
    order by m.scheduled_at
    limit %(limit)s
    for update of m skip locked
  ) m
  limit %(limit)s
), postponed as (
  update {schema}.campaign_messages m
  set scheduled_at = now() + make_interval(secs => d.seconds), updated_at = now()
  from due d
  where m.id = d.id
  returning m.run_id, d.seconds
), logged as (
  insert into {schema}.campaign_logs (run_id, step_name, level, message, details)
  select p.run_id, 'RATE_LIMIT', 'warning', 'the model is left alone: messages wait',
    jsonb_build_object('messages', count(*), 'wait_seconds', round(max(p.seconds)::numeric, 1))
  from postponed p
  group by p.run_id
)
select count(*) from postponed
