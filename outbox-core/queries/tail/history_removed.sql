-- How many events of a share were removed from the event store since it was cut: so many less there are to read. Told as the rows of the
-- share are (read_share.sql, read_reissue.sql); that of a re-issue begins and ends with what was left. $1 topic and $2 slot of the stream, $3 into how many partitions the topic was divided,
-- $4 number of the batch, $5 first and $6 last position, $7 snapshot before and $8 of the batch, $9 and $10 what stands before a
-- re-issue or an era, $11 up to which position everything was appended before the era of a re-issue.
select count(*) - coalesce((select r.removed from outbox.reissue r
                            where r.batch_number = $4::bigint and r.topic = $1::text and r.partition = $2::integer), 0) as removed
from (select b.kind, b.era from outbox.batch b where b.number = $4::bigint limit 1) batch
cross join outbox.removed r
-- Only what is of the share is taken apart.
cross join lateral generate_series(case when batch.kind = 'reissue' then r.first_position else greatest(r.first_position, $5::bigint) end,
                                   case when batch.kind = 'reissue' then r.last_position else least(r.last_position, $6::bigint) end) gone (position)
where r.topic = $1::text
  and (batch.kind = 'reissue' or r.last_position >= $5::bigint and r.first_position <= $6::bigint)
  and (batch.kind <> 'era' or r.era >= batch.era)
  and ($3::integer <= 1 or r.key_number % $3::integer + 1 = $2::integer)
  and not pg_visible_in_snapshot(r.transaction_id, $7::text::pg_snapshot)
  and (gone.position <= $11::bigint or pg_visible_in_snapshot(r.transaction_id, $8::text::pg_snapshot))
  and not exists (select from unnest($9::text[], $10::bigint[]) passed (snapshot, position)
                  where gone.position <= passed.position and pg_visible_in_snapshot(r.transaction_id, passed.snapshot::pg_snapshot))
  and (batch.kind = 'cut' or not exists (select from outbox.unpublished u where u.position = gone.position))
