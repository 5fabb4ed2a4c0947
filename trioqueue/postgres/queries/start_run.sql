-- Makes the campaign and its run, with as many leads as are staged.
with config as (
  insert into {schema}.campaign_configs
    (workspace_id, name, ai_model, ai_instructions, split_messages, max_split_parts, fallback_models)
  values (%(workspace_id)s, %(name)s, %(model)s, %(instructions)s, %(split)s, %(max_parts)s, %(fallback_models)s)
  returning id
), run as (
  insert into {schema}.campaign_runs (config_id, leads_total, max_tokens, max_cost_usd)
  select c.id, (select count(*) from staged_leads), %(max_tokens)s, %(max_cost_usd)s from config c
  returning id, config_id, leads_total
), logged as (
  insert into {schema}.campaign_logs (run_id, step_name, level, message, details)
  select r.id, 'INICIALIZAÇÃO', 'info', 'run started', jsonb_build_object('leads_total', r.leads_total) from run r
)
select r.id, r.config_id, r.leads_total from run r
