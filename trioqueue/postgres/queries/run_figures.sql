-- What a run has used and where its messages stand. Reads all messages of the run: for people, not for workers.
select
  (select jsonb_object_agg(s.status, s.count) from (
     select m.status, count(*) as count from {schema}.campaign_messages m where m.run_id = %(run_id)s group by m.status
   ) s),
  (select count(*) from {schema}.campaign_messages m
     join {schema}.campaign_message_parts p on p.message_id = m.id
     where m.run_id = %(run_id)s and p.status = 'sent'),
  (select coalesce(sum(m.ai_tokens_used), 0) from {schema}.campaign_messages m where m.run_id = %(run_id)s),
  (select coalesce(sum(m.cost_usd), 0) from {schema}.campaign_messages m where m.run_id = %(run_id)s),
  (select json_agg(json_build_array(e.error_message, e.count)) from (
     select m.error_message, count(*) as count
     from {schema}.campaign_messages m
     where m.run_id = %(run_id)s and m.error_message is not null and m.status <> 'sent'
     group by m.error_message
     order by count(*) desc, m.error_message
     limit 5
   ) e)
