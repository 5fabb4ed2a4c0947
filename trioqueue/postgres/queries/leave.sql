-- A worker that stops says so: nothing of it is left to rescue.
delete from {schema}.workers w where w.incarnation = %(incarnation)s
