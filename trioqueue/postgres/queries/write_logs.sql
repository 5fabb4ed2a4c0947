-- Writes rows of the runs' logs.
insert into {schema}.campaign_logs (run_id, message_id, lead_id, step_name, level, message, details)
select r.run_id, r.message_id, r.lead_id, r.step_name, r.level, r.message, r.details
from jsonb_to_recordset(%(rows)s::jsonb) as r (run_id uuid, message_id uuid, lead_id uuid, step_name text, level text,
                                               message text, details jsonb)
