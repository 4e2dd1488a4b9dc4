-- The operators' views of consumers. Public, without payloads and without what handlers said.

create view outbox_ops.inbox as
    select lease.consumer,
           lease.stream,
           lease.holder,
           lease.epoch,
           case when lease.expires_at > clock_timestamp() then 'held' else 'free' end as lease,
           lease.acquired_at,
           lease.expires_at,
           progress.passed_batch::text || '-' || progress.passed_position::text as passed_entry,
           progress.moved_at,
           (select count(*) from outbox.consumer_failure f where f.consumer = lease.consumer and f.stream = lease.stream) as failing,
           (select min(f.first_failed_at) from outbox.consumer_failure f where f.consumer = lease.consumer and f.stream = lease.stream) as failing_since,
           (select count(*) from outbox.dead_letter d where d.consumer = lease.consumer and d.stream = lease.stream) as dead_letters
    from outbox.consumer_lease lease
    left join outbox.consumer_stream progress using (consumer, stream);
comment on view outbox_ops.inbox is 'One row per consumer group and stream: who applies it, how far it came, what fails.';

create view outbox_ops.inbox_days as
    select day, estimated_rows, bytes, kept_until, droppable from outbox.inbox_days();
comment on view outbox_ops.inbox_days is 'The days of the inbox: how long the ids of applied events are remembered, and what may be dropped.';

create view outbox_ops.dead_letters as
    select number, consumer, stream, entry_id, source, id, type, key, recorded_at, error_class, attempts, first_failed_at, dead_at
    from outbox.dead_letter;
comment on view outbox_ops.dead_letters is 'What consumers gave up. The payload and what the handler said are in outbox.dead_letter.';

alter view outbox_ops.inbox owner to outbox_maintainer;
alter view outbox_ops.inbox_days owner to outbox_maintainer;
alter view outbox_ops.dead_letters owner to outbox_maintainer;
grant select on outbox_ops.inbox, outbox_ops.inbox_days, outbox_ops.dead_letters to outbox_consumer, outbox_observer;
