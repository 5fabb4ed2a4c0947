-- Takes messages from workers whose lease has run out, and those that %(worker)s holds without knowing of them.
-- moves campaign_messages: generating, sending -> pending, skipped
-- moves campaign_messages: sending -> unconfirmed
-- moves campaign_message_parts: sending -> unknown, planned
select released, unconfirmed from {schema}.rescue_campaign_messages(%(limit)s, %(idempotent)s, %(worker)s, %(held)s)
