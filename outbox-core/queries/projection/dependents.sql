-- What outside of a schema depends on something in it: views, foreign keys, functions.
select string_agg(distinct coalesce(v.oid::regclass::text, k.conname || ' of ' || k.conrelid::regclass::text, f.oid::regprocedure::text), ', ')
from pg_catalog.pg_class c
join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = c.oid and d.deptype = 'n'
left join pg_catalog.pg_rewrite r on d.classid = 'pg_catalog.pg_rewrite'::regclass and r.oid = d.objid
left join pg_catalog.pg_class v on v.oid = r.ev_class and v.relnamespace <> c.relnamespace
left join pg_catalog.pg_constraint k on d.classid = 'pg_catalog.pg_constraint'::regclass and k.oid = d.objid and k.connamespace <> c.relnamespace
left join pg_catalog.pg_proc f on d.classid = 'pg_catalog.pg_proc'::regclass and f.oid = d.objid and f.pronamespace <> c.relnamespace
where c.relnamespace = to_regnamespace($1::text) and (v.oid is not null or k.oid is not null or f.oid is not null)
