-- Notes every change of state of a campaign's rows, in the transaction that makes it, with who made it: the
-- application_name, which is another for each worker process. For tests alone; trioqueue itself has no triggers.
create schema chaos;

create table chaos.changes (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  actor text not null default current_setting('application_name'),
  kind text not null,
  run_id uuid,
  message_id uuid,
  part_no integer,
  before text,
  after text,
  owner_before uuid,
  owner_after uuid,
  fence bigint,
  text_before text,
  text_after text
);

create table chaos.incarnations (
  incarnation uuid primary key,
  actor text not null default current_setting('application_name')
);

create function chaos.note_message() returns trigger language plpgsql as $$
begin
  insert into chaos.changes (kind, run_id, message_id, before, after, owner_before, owner_after, fence,
                             text_before, text_after)
  values ('message', new.run_id, new.id, old.status, new.status, old.claimed_by, new.claimed_by, new.claim_fence,
          old.generated_message, new.generated_message);
  return null;
end;
$$;

create function chaos.note_part() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    insert into chaos.changes (kind, message_id, part_no, after, text_after)
    values ('part', new.message_id, new.part_no, new.status, new.body);
  else
    insert into chaos.changes (kind, message_id, part_no, before, after, fence, text_before, text_after)
    values ('part', new.message_id, new.part_no, old.status, new.status, new.claim_fence, old.body, new.body);
  end if;
  return null;
end;
$$;

create function chaos.note_run() returns trigger language plpgsql as $$
begin
  insert into chaos.changes (kind, run_id, before, after) values ('run', new.id, old.status, new.status);
  return null;
end;
$$;

create function chaos.note_worker() returns trigger language plpgsql as $$
begin
  insert into chaos.incarnations (incarnation) values (new.incarnation) on conflict do nothing;
  return null;
end;
$$;

create trigger note after update on {schema}.campaign_messages for each row
  when (old.status is distinct from new.status or old.claimed_by is distinct from new.claimed_by
        or old.claim_fence is distinct from new.claim_fence
        or old.generated_message is distinct from new.generated_message)
  execute function chaos.note_message();

create trigger note_insert after insert on {schema}.campaign_message_parts for each row
  execute function chaos.note_part();

create trigger note_update after update on {schema}.campaign_message_parts for each row
  when (old.status is distinct from new.status or old.body is distinct from new.body)
  execute function chaos.note_part();

create trigger note after update on {schema}.campaign_runs for each row
  when (old.status is distinct from new.status)
  execute function chaos.note_run();

create trigger note after insert on {schema}.workers for each row execute function chaos.note_worker();
