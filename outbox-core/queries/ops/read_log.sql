-- Whether the log is what the relay needs, and what the current role may do with it.
select (select s.cache_size from pg_catalog.pg_sequences s where s.schemaname = 'outbox' and s.sequencename = 'log_position') as sequence_cache,
       (select e.system_identifier from outbox.era e order by e.era desc limit 1) as era_system_identifier,
       coalesce((select pg_snapshot_xmax(pg_current_snapshot()) < pg_snapshot_xmax(b.snapshot)
                 from outbox.batch b order by b.number desc limit 1), false) as snapshot_is_older,
       pg_catalog.pg_has_role('outbox_relay', 'usage') as may_relay,
       pg_catalog.pg_has_role('outbox_maintainer', 'member') as may_maintain,
       pg_catalog.pg_has_role('pg_read_all_stats', 'usage') as may_see_sessions,
       coalesce((select t.tgenabled in ('O', 'A') from pg_catalog.pg_trigger t
                 where t.tgrelid = 'outbox.log'::regclass and t.tgname = 'doorbell'), false) as doorbell,
       array(select distinct coalesce(grantee.rolname, 'public')::text
             from pg_catalog.pg_class c, lateral pg_catalog.aclexplode(c.relacl) granted
             left join pg_catalog.pg_roles grantee on grantee.oid = granted.grantee
             where c.oid = 'outbox.log'::regclass and granted.privilege_type = 'INSERT' and granted.grantee <> c.relowner) as forgers,
       -- As the tail names it: with the database's own number, since a copy by template has the same settings.
       (select s.database_id::text || '/' || (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
        from outbox.settings s) as database_id,
       (select s.writer from outbox.settings s) as writer,
       coalesce((select b.batch_id from outbox.batch b order by b.number desc limit 1), 0) as last_batch_id,
       (select count(*) from outbox.piece p where p.detach_pending) as pieces_half_detached,
       (select min(ahead) from (
            select count(*) filter (where p.lower_bound > (select last_value from outbox.log_position)) as ahead
            from outbox.piece p where p.parent like 'log\_%' group by p.parent) pieces) as pieces_ahead
