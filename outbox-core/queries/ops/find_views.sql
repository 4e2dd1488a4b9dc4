-- Which halves of the schema are in this database: the log, the inbox, both or none.
select to_regclass('outbox_ops.summary') is not null as log,
       to_regclass('outbox_ops.inbox') is not null as inbox
