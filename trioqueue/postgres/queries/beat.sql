-- The heartbeat: one row a worker process, never a write a message. By the database's clock.
insert into {schema}.workers (incarnation, host, pid, lease)
values (%(incarnation)s, %(host)s, %(pid)s, make_interval(secs => %(lease)s))
on conflict (incarnation) do update set beat_at = now()
