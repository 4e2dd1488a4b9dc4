-- Which halves of the schema are in this database: the log, the inbox, both or none. Asked of the catalogue, which
-- answers whoever asks; to_regclass would need the right to use the schema.
select exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
               where n.nspname = 'outbox_ops' and c.relname = 'summary') as log,
       exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
               where n.nspname = 'outbox_ops' and c.relname = 'inbox') as inbox
