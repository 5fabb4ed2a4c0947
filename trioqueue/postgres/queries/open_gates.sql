-- Tells that models answer again, as this worker's probe has shown. Where another worker has met a limit since, it stays.
delete from {schema}.model_gates g
where g.account = %(account)s and g.model = any (%(models)s::text[]) and g.prober = %(worker)s
