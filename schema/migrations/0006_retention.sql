-- What is over for long enough may be removed: messages with their parts, and the log, of runs that are over.

alter table campaign_runs add column pruned_at timestamptz;

create index idx_campaign_runs_to_prune on campaign_runs (completed_at)
  where pruned_at is null and status in ('completed', 'cancelled', 'failed');

-- With the rights of its owner, so that a worker's role can remove what is over and nothing else.
create function prune_campaign_run(p_days integer, p_limit integer)
returns integer
language plpgsql security definer set search_path from current
as $$
declare
  v_run_id uuid;
  v_removed integer;
begin
  if p_days < 1 then
    raise exception 'p_days is %: what has been over for less than a day is kept', p_days
      using errcode = 'invalid_parameter_value';
  end if;
  -- One at a time, and until the end of the transaction alone: a lock of the session would not do behind a pooler.
  if not pg_try_advisory_xact_lock(hashtextextended('trioqueue prune ' || 'campaign_runs'::regclass::oid, 0)) then
    return 0;
  end if;

  -- A run is kept whole while one of its messages waits for a person. Whoever lets it go on has locked it.
  select r.id into v_run_id
  from campaign_runs r
  where r.pruned_at is null and r.status in ('completed', 'cancelled', 'failed')
    and r.completed_at < now() - make_interval(days => p_days)
    and not exists (
      select from campaign_messages m
      where m.run_id = r.id and m.status in ('queued', 'pending', 'generating', 'sending', 'unconfirmed'))
  order by r.completed_at
  limit 1
  for update of r skip locked;
  if v_run_id is null then
    return 0;
  end if;

  delete from campaign_messages m
  where m.id in (
    select o.id from campaign_messages o
    where o.run_id = v_run_id and o.status in ('sent', 'failed', 'skipped', 'replied')
    limit p_limit
    for update skip locked);
  get diagnostics v_removed = row_count;
  if v_removed > 0 then
    return v_removed;
  end if;

  delete from campaign_logs g
  where g.id in (select o.id from campaign_logs o where o.run_id = v_run_id order by o.id limit p_limit);
  get diagnostics v_removed = row_count;
  if v_removed = 0 then
    update campaign_runs r set pruned_at = now() where r.id = v_run_id;
    v_removed := 1;
  end if;
  return v_removed;
end;
$$;

comment on column campaign_runs.pruned_at is 'When its messages and its log were removed, long after it was over; its counters stay.';
comment on index idx_campaign_runs_to_prune is 'Runs that are over and have not been pruned.';
comment on function prune_campaign_run(integer, integer) is
  'Removes up to so many messages or lines of the log of the run that has been over for longest, if for so many days, and says how many rows it changed; 0 when there is nothing to remove or another is at it.';
