-- Takes the right to probe models: one worker has it at a time, and loses it with its lease, or when it has not said
-- within a minute what came of it. A worker that dies with it must not keep all others from the model for so long.
update {schema}.model_gates g
set prober = %(worker)s, probe_until = now() + interval '1 minute'
where g.account = %(account)s
  and g.model = any (%(models)s::text[])
  and g.shut_until <= now()
  and (
    g.prober is null
    or g.probe_until <= now()
    or not exists (select from {schema}.workers w where w.incarnation = g.prober and w.beat_at > now() - w.lease)
  )
