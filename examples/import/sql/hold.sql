-- Holds an import for this transaction and says how far it is. $1 name.
select records from outbox_import.progress where name = $1 for update
