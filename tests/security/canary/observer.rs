//! What an observer may read has nothing of an event in it, whatever happened.

use sqlx::{AssertSqlSafe, Executor};
use system_tests::Result;

use super::{Ground, KEY, PAYLOAD, SAID, SUBJECT, is_silent};

/// Something of everything that relays, members and people leave behind: published, put out again, lost, missed, refused, skipped,
/// recovered.
const LEFT: &str = r#"
    insert into outbox.recovery (strategy, reason, state, era, found, opened_at, done_at)
    values ('trust-database', 'restored', 'done', 2, '{"streams": [{"stream": "outbox:orders", "unknown": 1}]}', now(), now());
    insert into outbox.refusal (code, said, epoch) values ('STREAM-IS-AHEAD', 'the mark of outbox:orders is of another history', 1);
    insert into outbox.unknown_entry (stream, batch_id, position, recovery, topic, partition, event_id, names, contents, fate)
    values ('outbox:orders', 900, 1, 1, 'orders', 0, 'one', array['event'], array[convert_to('canary-card-4711', 'UTF8')], 'removed');
    insert into outbox.era_share (batch_number, topic, partition, passed_snapshots, passed_positions) values (1, 'orders', 0, '{}', '{}');
    insert into outbox.era_start (batch_number, topic, partition, first_position, kept_batch_id, kept_position) values (1, 'orders', 0, 1, 1, 1);
    insert into outbox.timeline (era, timeline, batch_number) values (1, 1, 0);
    insert into outbox.loss (topic, partition, stream, after_entry, through_entry, events, why, missed_by, epoch)
    values ('orders', 0, 'outbox:orders', '1-1', '1-2', 1, 'log', '{stock}', 1);
    insert into outbox.reissue_order (topic, partition, from_batch_id, from_position, is_preview, reason, state, answer)
    values ('orders', 0, 1, 1, false, 'by hand', 'done', 'put out again');
    insert into outbox.batch (number, batch_id, kind, era, epoch, snapshot, event_count, first_position, last_position)
    values (1, 1, 'cut', 1, 1, pg_current_snapshot(), 1, 1, 1), (2, 2, 'reissue', 1, 1, pg_current_snapshot(), 1, 1, 1);
    insert into outbox.share (batch_number, topic, event_count, first_position, last_position) values (1, 'orders', 1, 1, 1), (2, 'orders', 1, 1, 1);
    insert into outbox.progress (topic, batch_number, position, chain_batch_id, chain_position, epoch) values ('orders', 1, 1, 1, 1, 1);
    insert into outbox.reissue (batch_number, topic, partition, kept_batch_id, kept_position, kept_number, base, base_number, passed_snapshots, passed_positions, missing, asked_by)
    values (2, 'orders', 0, 1, 1, 1, pg_current_snapshot(), 0, '{}', '{}', '1-2', 'stock');
    insert into outbox.hole (topic, partition, group_name, stream, epoch, missing, held, since, state, reason)
    values ('orders', 0, 'stock', 'outbox:orders', 1, '1-2', '1-3', now(), 'refused', 'the log no longer has it');
    insert into outbox.hole_pass (consumer, stream, entry_id, reason) values ('stock', 'outbox:orders', '1-2', 'gone');
    insert into outbox.stream_action (topic, action, batch_number, position, reason) values ('orders', 'set_aside', 1, 1, 'too large');
    insert into outbox.unpublished (position, topic, id, source, type, key, event, reason)
    values (1, 'orders', '01a1fd18-c2ff-7085-afb1-7aebe906c0bc', '/shop', 'orders.placed', 'canary-customer-0815', '{"data": "canary-card-4711"}', 'test data');
    insert into outbox.relay (instance, host, process_id, version, started_at, seen_at, state, reason) values ('one', 'here', 1, '1', now(), now(), 'refused', 'POSTGRES-MOVED');
    insert into outbox.stream_group (topic, name, action, delivered, reason) values ('orders', 'stock', 'registered', '1-1', 'seen');
    insert into outbox.stream_seen (topic, stream, epoch, length, first_entry, last_entry, groups, held_by, held_since)
    values ('orders', 'outbox:orders', 1, 1, '1-1', '1-1', '[{"name": "stock", "pending": 1, "delivered": "1-1"}]', 'stock', now());
    insert into outbox.trim_floor (topic, batch_id, position, cause, epoch) values ('orders', 1, 1, 'retention', 1);
    insert into outbox.topic_layout (topic, generation, partitions, batch_number, batch_id, moved) values ('orders', 1, 2, 2, 2, false);
    insert into outbox.consumer_failure (consumer, stream, entry_id, attempts, retry_at, error_class, error) values ('stock', 'outbox:orders', '1-2', 1, now(), 'handler', 'canary-said');
    insert into outbox.consumer_lease (consumer, stream, epoch, holder) values ('stock', 'outbox:orders', 1, 'one');
    insert into outbox.consumer_stream (consumer, stream, passed_batch, passed_position) values ('stock', 'outbox:orders', 1, 1);
    insert into outbox.consumer_member (consumer, member, host, process_id, version) values ('stock', 'one', 'here', 1, '1');
    insert into outbox.operation (kind, consumer, filter, reason, total) values ('redrive', 'stock', '{"key": "canary-customer-0815"}', 'mended', 1);
    insert into outbox.consumer_audit (action, consumer, reason) values ('redrive', 'stock', 'mended');
    select outbox.append_to_stream('customer-canary-customer-0815', null, '[{"type": "customer.seen", "data": "canary-card-4711"}]');
    insert into outbox.route (category, type, topic) values ('customer', '', 'customers');
    insert into outbox.subject_step (key_id, action, reason) values (gen_random_uuid(), 'destroy', 'asked for');
    insert into outbox.stream_step (stream, action, through, events, reason) select id, 'archive', 0, 0, 'old' from outbox.stream;
    insert into outbox.subject_key (id, subject, wrapped_key, master_key) values (gen_random_uuid(), 'canary-customer-0815', 'canary-card-4711', '2026');
    select outbox.forget_subject('canary-customer-0815', 'asked for');
    insert into outbox.subscription (name, generation, partitions) values ('points', 1, 1);
    insert into outbox.parked_stream (subscription, generation, partition, stream, version, state, attempts, retry_at, error_class, error)
    select 'points', 1, 0, id, 1, 'parked', 3, now(), 'handler', 'canary-said' from outbox.stream;
    insert into outbox.subscription_action (subscription, generation, action, stream, version, reason)
    select 'points', 1, 'retry', name, 1, 'mended' from outbox.stream;
    insert into outbox.projection (name, kind) values ('points', 'asynchronous');
    insert into outbox.projection_rebuild (projection, generation, state, accept_differences, reason) values ('points', 2, 'held', false, 'mended');
    insert into outbox.stream_mark (consumer, stream, published_batch) values ('stock', 'outbox:orders', 1)"#;

#[tokio::test]
async fn no_canary_is_in_what_an_observer_sees() -> Result {
    // GIVEN events, letters, an event given up by hand, and whatever else leaves a row somewhere
    let ground = Ground::new().await?;
    let mut administrator = ground.database.connect().await?;
    let furnish = crate::hostile::FURNISH
        .replace("'c'", &format!("'{KEY}'"))
        .replace("'kc'", &format!("'k{KEY}'"))
        .replace("'x', 'f'", &format!("'{SAID}', 'f'"));
    assert!(furnish.contains(KEY) && furnish.contains(SAID));
    administrator.execute(AssertSqlSafe(furnish)).await?;
    assert!(LEFT.contains(KEY) && LEFT.contains(SAID) && LEFT.contains(PAYLOAD));
    administrator.execute(LEFT).await?;
    let append =
        format!("select outbox.append('orders', '\"{PAYLOAD}\"', key => '{KEY}', subject => '{SUBJECT}')");
    administrator.execute(AssertSqlSafe(append.clone())).await?;
    // AND a transaction that is open
    let mut other = ground.database.connect().await?;
    other.execute("begin").await?;
    other.execute(AssertSqlSafe(append)).await?;
    // WHEN an observer reads all that it may
    let mut observer = ground.onlooker().await?;
    let readable: Vec<String> = sqlx::query_scalar(
        "select c.oid::regclass::text from pg_class c where c.relnamespace in ('outbox'::regnamespace, 'outbox_ops'::regnamespace)
         and c.relkind in ('r', 'p', 'v') and not c.relispartition and has_table_privilege(c.oid, 'select')",
    )
    .fetch_all(&mut observer)
    .await?;
    assert!(readable.len() > 45, "{readable:?}");
    // THEN there are rows in each, and no canary in any
    let mut empty = Vec::new();
    for relation in readable {
        let rows: String = sqlx::query_scalar(AssertSqlSafe(format!(
            "select coalesce(string_agg(r::text, E'\\n'), '') from {relation} r"
        )))
        .fetch_one(&mut observer)
        .await?;
        is_silent(&relation, &rows);
        if rows.is_empty() {
            empty.push(relation);
        }
    }
    assert!(
        empty.is_empty(),
        "no row in {empty:?}: LEFT is to leave one there"
    );
    Ok(())
}
