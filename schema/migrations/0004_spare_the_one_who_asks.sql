-- A worker that rescues what nobody works on spares what it works on itself, whether its own lease runs or not.

create or replace function rescue_campaign_messages(
  p_limit integer, p_idempotent boolean, p_worker uuid default null, p_held uuid[] default '{}'
)
returns table (released integer, unconfirmed integer)
language plpgsql set search_path from current
as $$
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
      select from campaign_messages m where m.status in ('generating', 'sending') and m.claimed_by = w.incarnation);

  select array_agg(s.id) into v_message_ids
  from (
    select m.id
    from campaign_messages m
    where m.status in ('generating', 'sending')
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
