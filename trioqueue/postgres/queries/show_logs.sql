-- What the log of a run tells of one message.
select g.created_at, g.step_name, g.level, g.message, g.details
from {schema}.campaign_logs g
where g.run_id = %(run_id)s and g.message_id = %(message_id)s
order by g.id
