-- Wakes idle workers: something is due. Polling finds it too, later.
select pg_notify(%(channel)s, '')
