-- The database's clock; also the least that a statement can be, whose time is that of the round trip.
select clock_timestamp()
