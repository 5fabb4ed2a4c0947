-- What there is to do, and who does it, for `trioqueue doctor`; read through indexes, whatever the size of the tables.
select
  (select count(*)::integer from {schema}.workers w where w.beat_at > now() - w.lease),
  (select count(*)::integer from {schema}.campaign_runs r where r.status = 'running'),
  (
    select exists (
      select from {schema}.campaign_messages m
      where m.run_id = r.id and m.status = 'pending' and m.scheduled_at <= now())
    from {schema}.campaign_runs r
    where r.status = 'running'
    order by 1 desc
    limit 1),
  (select count(*)::integer from {schema}.campaign_runs r where r.status = 'paused' and r.resumes_at is null),
  (select count(*)::integer from {schema}.campaign_runs r where r.status = 'paused' and r.resumes_at is not null),
  (
    select r.error_message
    from {schema}.campaign_runs r
    where r.status = 'paused' and r.resumes_at is null
    order by r.paused_at desc
    limit 1),
  (
    select count(*)::integer
    from (select from {schema}.campaign_messages m where m.status = 'unconfirmed' limit %(most)s) u),
  array(
    select distinct model
    from {schema}.campaign_runs r
    join {schema}.campaign_configs g on g.id = r.config_id
    cross join lateral unnest(array_append(g.fallback_models, g.ai_model)) model
    where r.status in ('running', 'paused')
    order by model)
