-- Holes that no group asks for any more: all but those of the streams $1 and groups $2 beside them.
delete from outbox.hole known
where not exists (select from unnest($1::text[], $2::text[]) asked (stream, group_name)
                  where asked.stream = known.stream and asked.group_name = known.group_name)
