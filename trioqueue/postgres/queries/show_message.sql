-- What else there is to know of a message.
select g.name, r.status, m.lead_id, m.conversation_id, m.generated_message, m.ai_model, coalesce(m.ai_tokens_used, 0),
  coalesce(m.cost_usd, 0), m.provider_message_id, m.created_at
from {schema}.campaign_messages m
join {schema}.campaign_runs r on r.id = m.run_id
join {schema}.campaign_configs g on g.id = r.config_id
where m.id = %(message_id)s
