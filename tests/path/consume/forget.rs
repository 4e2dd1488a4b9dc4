//! What an operator may forget of what a group applied, and when.

use sqlx::Executor;
use system_tests::Result;
use system_tests::patience::until;

use super::bench::Bench;
use super::service::LIMIT;

#[tokio::test]
async fn an_operator_forgets_no_ids_of_a_stream_that_a_member_holds() -> Result {
    // GIVEN a member at work
    let mut bench = Bench::new().await?;
    bench.put_all(&["a", "b"]).await?;
    let member = bench.start()?;
    bench.effects(2).await?;
    // WHEN an operator acts as a seek does, with the epoch of the member's lease
    for as_a_seek in [
        "select sum(outbox.forget_events('stock', array[i.stream], array[i.epoch], 0, 0, t.name, 0, 1000))::text
         from outbox_ops.inbox i, outbox.inbox_tables() t",
        "select outbox.keep_seized('stock', array[i.stream], array[i.epoch], '1 day')::text from outbox_ops.inbox i",
        "select outbox.seek_stream('stock', i.stream, i.epoch, 0, 0, 1, 2, null, 'no reason')::text from outbox_ops.inbox i",
        "select outbox.seize_stream('stock', i.stream, 'me', '1 day', 'no reason')::text from outbox_ops.inbox i",
    ] {
        let mut operator = bench.pool.begin().await?;
        operator.execute("set local role outbox_operator").await?;
        // THEN it is refused: nobody seized the stream for one, which would be in the audit
        let refused = operator.execute(as_a_seek).await.err();
        let code = refused.as_ref().and_then(|error| error.as_database_error()?.code());
        assert!(matches!(code.as_deref(), Some("55000" | "22023")), "{as_a_seek}: {refused:?}");
    }
    let mut operator = bench.pool.begin().await?;
    operator
        .execute(
            "set local role outbox_operator;
             select outbox.release_seized('stock', array[i.stream], array[i.epoch]) from outbox_ops.inbox i",
        )
        .await?;
    operator.commit().await?;
    let held: String = bench.value("select lease from outbox_ops.inbox").await?;
    member.stop().await?;
    assert_eq!(held, "held");
    assert_eq!(bench.value::<i64>("select count(*) from outbox.inbox").await?, 2);
    Ok(())
}

#[tokio::test]
async fn what_is_seized_is_forgotten_only_after_it_was_set_back_for_that() -> Result {
    // GIVEN what a member applied, and a stream that an operator seized since
    let mut bench = Bench::new().await?;
    bench.put_all(&["a", "b"]).await?;
    let member = bench.start()?;
    bench.effects(2).await?;
    member.stop().await?;
    let seized = "select outbox.seize_stream('stock', i.stream, 'seek 1', '1 day', 'no reason')::text from outbox_ops.inbox i";
    bench.pool.execute(seized).await?;
    let forget = "select sum(outbox.forget_events('stock', array[i.stream], array[i.epoch], 0, 0, t.name, 0, 1000))::text
                  from outbox_ops.inbox i, outbox.inbox_tables() t";
    // WHEN ids are to be forgotten at once THEN it is refused
    assert!(bench.pool.execute(forget).await.is_err());
    // AND when it was set back to have its effects again, which the audit says, they are
    bench
        .pool
        .execute(
            "insert into outbox.inbox_keyed (consumer, topic, identity, source, id, expires_at)
             select 'stock', 'orders.placed', sha256(id::bytea), '/shop', id, now() + interval '1 day'
             from unnest('{event-1, event-3}'::text[]) id",
        )
        .await?;
    bench
        .pool
        .execute("select outbox.seek_stream('stock', i.stream, i.epoch, 0, 0, 1, 2, null, 'a new column') from outbox_ops.inbox i")
        .await?;
    assert_eq!(bench.value::<String>(forget).await?, "2");
    // ... and with them the identities that they stand for
    let left: String = bench
        .value("select string_agg(id, ', ') from outbox.inbox_keyed")
        .await?;
    assert_eq!(left, "event-3");
    let actions: String = bench
        .value("select string_agg(action, ', ' order by number) from outbox_ops.audit")
        .await?;
    assert_eq!(actions, "seek begun, seek");
    Ok(())
}

#[tokio::test]
async fn of_a_day_that_is_dropped_meanwhile_nothing_is_to_be_forgotten() -> Result {
    // GIVEN a stream that is set back, and a day of the inbox that somebody drops
    let mut bench = Bench::new().await?;
    bench.put_all(&["a"]).await?;
    let member = bench.start()?;
    bench.effects(1).await?;
    member.stop().await?;
    bench
        .pool
        .execute(
            "select outbox.add_inbox_day('2026-01-10 12:00Z');
             select outbox.seize_stream('stock', i.stream, 'seek 1', '1 day', 'no reason') from outbox_ops.inbox i;
             select outbox.seek_stream('stock', i.stream, i.epoch, 0, 0, 1, 2, null, 'a new column') from outbox_ops.inbox i",
        )
        .await?;
    let (stream, epoch): (String, i64) = sqlx::query_as("select stream, epoch from outbox_ops.inbox")
        .fetch_one(&bench.pool)
        .await?;
    let mut dropping = bench.pool.begin().await?;
    dropping.execute("drop table outbox.inbox_20260110").await?;
    // WHEN what it has of the stream is to be forgotten, and it is gone
    let pool = bench.pool.clone();
    let forgetting = tokio::spawn(async move {
        sqlx::query_scalar::<_, i64>(
            "select outbox.forget_events('stock', array[$1], array[$2], 0, 0, 'inbox_20260110', 0, 1000)",
        )
        .bind(stream)
        .bind(epoch)
        .fetch_one(&pool)
        .await
    });
    until("who forgets waits", LIMIT, async || {
        let waits: bool = bench
            .value("select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')")
            .await?;
        Ok(waits.then_some(()))
    })
    .await?;
    dropping.commit().await?;
    // THEN it had nothing
    assert_eq!(forgetting.await??, 0);
    Ok(())
}
