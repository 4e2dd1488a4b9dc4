//! Handlers of different keys that change the same rows: transactions meet, and none of that is an attempt.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use outbox_core::consume::{HandlerResult, PgConnection};
use outbox_core::event::Event;
use sqlx::Executor;
use system_tests::{Failure, Result};
use tokio::sync::Semaphore;

use super::bench::{Bench, GROUP, Member, Order, TOPIC, note};

const EVENTS: usize = 400;
/// The class of the locks under which events are claimed (`fence.sql`).
const CLAIM: i32 = 1_868_722_546;
/// Rows that all keys share.
const SHARED: i64 = 5;

/// Counts in the rows numbered so, one after the other, and notes the order.
async fn count_in(tx: &mut PgConnection, event: &Event, rows: &[i64]) -> HandlerResult {
    for row in rows {
        sqlx::query("update shared set count = count + 1 where number = $1")
            .bind(row)
            .execute(&mut *tx)
            .await?;
    }
    note(tx, event).await
}

/// Applies events of as many keys; returns how often a handler was called.
async fn apply(bench: &mut Bench, rows: fn(i64) -> Vec<i64>) -> Result<usize> {
    bench
        .pool
        .execute("create table shared as select number, 0 as count from generate_series(0, 4) number")
        .await?;
    let keys: Vec<String> = (0..EVENTS).map(|n| format!("key-{n}")).collect();
    bench
        .put_all(&keys.iter().map(String::as_str).collect::<Vec<_>>())
        .await?;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let describe = bench.describe().batch(16).concurrency(4);
    let member = Member::start(describe.on(TOPIC, move |tx, event| {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let order: Order = event.json()?;
            count_in(tx, event, &rows(order.number)).await
        })
    }))?;
    bench.effects(i64::try_from(EVENTS)?).await?;
    bench
        .until("select coalesce(bool_or(passed_entry = '1-400'), false) from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    // THEN each event has one effect, and none was counted as failed
    assert_eq!(bench.value::<i64>("select count(*) from effect").await?, 400);
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.parked_event")
            .await?,
        0
    );
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.dead_letter")
            .await?,
        0
    );
    assert_eq!(bench.pending().await?, 0);
    Ok(calls.load(Ordering::SeqCst))
}

#[tokio::test]
async fn batches_that_meet_in_rows_are_taken_apart_for_a_while() -> Result {
    // GIVEN events of 400 keys, each of which changes one of five rows
    let mut bench = Bench::new().await?;
    // WHEN they are applied in several transactions at a time, with several events each
    let calls = apply(&mut bench, |number| vec![number * 3 % SHARED]).await?;
    // THEN some met in deadlocks and were called again, a few batches before they were taken apart
    assert!((EVENTS + 1..EVENTS + 80).contains(&calls), "{calls} calls");
    assert_eq!(
        bench
            .value::<i64>("select sum(count)::bigint from shared")
            .await?,
        400
    );
    Ok(())
}

#[tokio::test]
async fn events_that_meet_though_they_are_alone_are_applied_one_by_one_for_a_while() -> Result {
    // GIVEN events of 400 keys, each of which changes two of five rows in an order of its own
    let mut bench = Bench::new().await?;
    // WHEN they are applied
    let calls = apply(&mut bench, |number| {
        vec![number * 3 % SHARED, (number * 7 + 1) % SHARED]
    })
    .await?;
    // THEN they met in deadlocks a few times
    assert!((EVENTS + 1..EVENTS + 90).contains(&calls), "{calls} calls");
    assert_eq!(
        bench
            .value::<i64>("select sum(count)::bigint from shared")
            .await?,
        800
    );
    Ok(())
}

/// Waits until so many transactions were seen that wait for the claim: all but the last were ended by the server. Nothing tells
/// when.
async fn until_waited_for(bench: &Bench, seen: &mut HashSet<String>, count: usize) -> Result {
    // The first one not at once, so that what comes next is not yet as old when the server ends that wait.
    let waiting = "select virtualtransaction from pg_locks natural join pg_stat_activity
                   where locktype = 'advisory' and classid::bigint = $1 and not granted
                     and (clock_timestamp() - query_start > '300 ms' or $2)";
    let waited = tokio::time::timeout(Duration::from_secs(120), async {
        while seen.len() < count {
            let found: Vec<String> = sqlx::query_scalar(waiting)
                .bind(i64::from(CLAIM))
                .bind(!seen.is_empty())
                .fetch_all(&bench.pool)
                .await?;
            seen.extend(found);
            tokio::task::yield_now().await;
        }
        Ok::<(), sqlx::Error>(())
    });
    Ok(waited
        .await
        .map_err(|_| Failure::new("the claim is not waited for so often"))??)
}

#[tokio::test]
async fn who_waits_for_another_transaction_for_too_long_disturbs_nobody_else() -> Result {
    // GIVEN an event that somebody else is applying just now
    let mut bench = Bench::new().await?;
    let mut other = bench.pool.begin().await?;
    sqlx::query(
        "select pg_advisory_xact_lock($1, hashtext($2 || chr(31) || '/shop' || chr(31) || 'event-2'))",
    )
    .bind(CLAIM)
    .bind(GROUP)
    .execute(&mut *other)
    .await?;
    let (calls, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (counted, gated) = (calls.clone(), gate.clone());
    let describe = bench
        .describe()
        .batch(1)
        .concurrency(2)
        .handler_limit(Duration::from_secs(1));
    let member = Member::start(describe.on(TOPIC, move |tx, event| {
        counted.fetch_add(1, Ordering::SeqCst);
        let gate = gated.clone();
        Box::pin(async move {
            if event.key.as_deref() == Some("slow") {
                gate.acquire().await?.forget();
            }
            note(tx, event).await
        })
    }))?;
    // WHEN a member waits for that for longer than a handler may take, while a handler of another key is under way
    bench.put_all(&["first", "taken"]).await?;
    let mut seen = HashSet::new();
    until_waited_for(&bench, &mut seen, 1).await?;
    bench.put_all(&["slow"]).await?;
    until_waited_for(&bench, &mut seen, 2).await?;
    gate.add_permits(1);
    // THEN that is not disturbed
    bench.effects(2).await?;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    // AND the event is applied when the other one is gone, without an attempt that failed
    other.rollback().await?;
    let effects = bench.effects(3).await?;
    member.stop().await?;
    let keys: Vec<&str> = effects.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["first", "slow", "taken"]);
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    Ok(())
}
