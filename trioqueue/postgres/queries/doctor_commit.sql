-- A commit that waits for the disk and changes nothing: its only record in the write-ahead log is a message for
-- logical decoding, under our name and empty. A mere transaction id (pg_current_xact_id) would not wait: PostgreSQL
-- does not flush the commit of a transaction that has written nothing else.
select pg_catalog.pg_logical_emit_message(true, 'trioqueue', '')
