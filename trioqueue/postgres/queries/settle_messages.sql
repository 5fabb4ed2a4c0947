-- Says what became of parts whose fate was unknown. Their messages go on with what is left, are sent when nothing is,
-- or are skipped when their run is over.
-- moves campaign_message_parts: unknown -> sent, planned
-- moves campaign_messages: unconfirmed -> sent, pending, skipped
-- moves campaign_runs: completed -> running
select message_id, became from {schema}.settle_campaign_messages(%(rows)s::jsonb, %(settled_by)s)
