-- Takes the right to probe models: one worker has it at a time, and loses it when it has not said within a minute what
-- came of it.
update {schema}.model_gates g
set prober = %(worker)s, probe_until = now() + interval '1 minute'
where g.account = %(account)s
  and g.model = any (%(models)s::text[])
  and g.shut_until <= now()
  and (g.prober is null or g.probe_until <= now())
