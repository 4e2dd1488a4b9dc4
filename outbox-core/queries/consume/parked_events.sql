-- The first events of a key: so many, and not more bytes than that beyond the first one.
select place, stream, entry_id, source, id, type, schema_version, key, recorded_at, entry_fields, attempts, history::text, dead_letter
from (
    select first.*, sum(first.size) over (order by first.place) as bytes,
           row_number() over (order by first.place) as n
    from (
        -- As they are when they are read, and not as they are kept, which may be a hundredth of that.
        select *, (select sum(octet_length(field)) from unnest(entry_fields) field) as size
        from outbox.parked_event
        where consumer = $1 and flow = $2 and lane = $3
        order by place
        limit $4
    ) first
) event
where event.n = 1 or event.bytes <= $5
order by event.place
