-- Registers an import, or finds the one of that name. $1 name, $2 mapping.
with begun as (
    insert into outbox_import.progress (name, mapping) values ($1, $2) on conflict (name) do nothing
    returning name, mapping, records, digest
)
select mapping, records, digest from begun
union all
select mapping, records, digest from outbox_import.progress where name = $1
limit 1
