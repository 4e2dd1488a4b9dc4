-- In the order given, which is the order of their places. A failed attempt is the first of its story; a count from before
-- parking was there goes on.
insert into outbox.parked_event
    (consumer, flow, lane, stream, entry_id, source, id, type, schema_version, key, recorded_at, entry_fields,
     attempts, history, first_failed_at)
select $1, $2, given.lane, $3, given.entry_id, given.source, given.id, given.type, given.schema_version, given.key,
       given.recorded_at, ($14::bytea[])[given.field_first:given.field_last],
       given.attempts,
       case when given.class is null then '[]'
            else jsonb_build_array(jsonb_build_object(
                'number', given.attempts, 'failed_at', clock_timestamp(), 'seconds', given.seconds,
                'class', given.class, 'error', given.error)) end,
       case when given.class is not null then clock_timestamp() end
from unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::timestamptz[],
            $12::integer[], $13::integer[], $15::integer[], $16::text[], $17::text[], $18::float8[])
     with ordinality
     given (lane, entry_id, source, id, type, schema_version, key, recorded_at,
            field_first, field_last, attempts, class, error, seconds, n)
order by given.n
