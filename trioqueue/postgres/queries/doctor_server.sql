-- What a server is, for `trioqueue doctor`. Reads no table of trioqueue's.
select
  current_setting('server_version'),
  current_setting('server_version_num')::integer,
  current_setting('server_encoding'),
  pg_is_in_recovery() or current_setting('transaction_read_only')::boolean,
  array(
    select s.name
    from pg_catalog.pg_settings s
    where s.name in ('fsync', 'full_page_writes', 'synchronous_commit') and s.setting = 'off'
    order by s.name),
  (select coalesce(sum(d.numbackends), 0)::integer from pg_catalog.pg_stat_database d),
  (
    select least(
      current_setting('max_connections')::integer - (
        select coalesce(sum(s.setting::integer), 0)
        from pg_catalog.pg_settings s
        where s.name in ('superuser_reserved_connections', 'reserved_connections')),
      nullif(r.rolconnlimit, -1),
      nullif(d.datconnlimit, -1))::integer
    from pg_catalog.pg_roles r, pg_catalog.pg_database d
    where r.rolname = session_user and d.datname = current_database()),
  current_user::text,
  (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user)
