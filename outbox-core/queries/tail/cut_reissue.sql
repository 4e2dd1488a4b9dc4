-- Cuts a re-issue: a row of the ledger that sees what the row before it saw, with one share of one stream, and takes the
-- stream there: whatever of it was cut before and not published yet is in this share, and nothing of it is sent from its old
-- place. Not if the stream was re-issued since it was measured: asked twice is done once. Nor if events of the topic were removed since,
-- or are being removed.
-- $1 number of the row before, $2 era, $3 epoch, $4 topic and $5 slot of the stream, $6 and $7 the entry kept and $8 the number
-- of its batch, $9 to $11 and $19 how the rows behind it are told, $12 the batch through which they were measured, $13 how many,
-- $14 first and $15 last position, $16 first of new transactions, $17 what is missing, $18 who asked, $20 how many had been removed,
-- $21 in which snapshot that was measured.
with flushed as materialized (
    select set_config('synchronous_commit', 'on', true)
), later as materialized (
    -- Cut since: wholly part of it.
    select coalesce(sum(s.event_count), 0)::bigint as event_count, min(s.first_position) as first_position, max(s.last_position) as last_position
    from outbox.share s
    where s.topic = $4::text and s.partition = $5::integer and s.batch_number > $12::bigint
), share as materialized (
    select $13::bigint + later.event_count as event_count, least($14::bigint, later.first_position) as first_position,
           greatest($15::bigint, later.last_position) as last_position, least($16::bigint, later.first_position) as first_new_position
    from later
    where not exists (select from outbox.reissue r where r.topic = $4::text and r.partition = $5::integer and r.batch_number > $12::bigint)
      and not exists (select from outbox.topic_layout l where l.topic = $4::text and l.batch_number > $12::bigint)
      and outbox.is_still_measured($4::text, $21::text::pg_snapshot)
), cut as (
    insert into outbox.batch (number, batch_id, kind, era, epoch, snapshot, event_count, first_position, last_position, layouts)
    select before.number + 1,
           greatest(before.batch_id + 1, (extract(epoch from clock_timestamp()) * 1000)::bigint),
           'reissue', $2::integer, $3::bigint, before.snapshot, share.event_count, share.first_position, share.last_position, before.layouts
    from share, flushed, outbox.batch before
    where before.number = $1::bigint
    returning number, batch_id, snapshot
), shared as (
    insert into outbox.share (batch_number, topic, partition, event_count, first_position, last_position, first_new_position)
    select cut.number, $4::text, $5::integer, share.event_count, share.first_position, share.last_position, share.first_new_position
    from cut, share
), described as (
    insert into outbox.reissue (batch_number, topic, partition, kept_batch_id, kept_position, kept_number, base, base_number,
                                passed_snapshots, passed_positions, missing, asked_by, removed)
    select cut.number, $4::text, $5::integer, $6::bigint, $7::bigint, $8::bigint, $9::text::pg_snapshot, $19::bigint,
           $10::text[]::pg_snapshot[], $11::bigint[], $17::text, $18::text, $20::bigint
    from cut
), moved as (
    insert into outbox.progress (topic, partition, batch_number, position, chain_batch_id, chain_position, epoch)
    select $4::text, $5::integer, cut.number, share.first_position - 1, $6::bigint, $7::bigint, $3::bigint
    from cut, share
), resumed as (
    -- What it was set aside for is mended.
    insert into outbox.stream_action (topic, partition, action, batch_number, position, reason)
    select $4::text, $5::integer, 'resume', cut.number, share.first_position, 're-issued from behind entry ' || $6::bigint || '-' || $7::bigint
    from cut, share
    where (
        select latest.action in ('set_aside', 'lost') from outbox.stream_action latest
        where latest.topic = $4::text and latest.partition = $5::integer
        order by latest.number desc
        limit 1)
)
select cut.number, cut.batch_id, cut.snapshot::text as snapshot, share.event_count, share.first_position, share.last_position,
       share.first_new_position
from cut, share
