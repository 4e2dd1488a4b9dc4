//! Handlers that take long: whoever came with them goes on, and a transaction ends soon.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use outbox_core::consume::{BatchHandler, HandlerError, HandlerResult, Identity, PgConnection};
use outbox_core::event::Event;
use serde_json::json;
use sqlx::Executor;
use system_tests::Result;
use tokio::sync::{Notify, Semaphore};

use super::bench::{Bench, Member, Order, TOPIC, event, note, recorded_before};

/// A little more than a transaction takes before it takes no further event.
const LONG: Duration = Duration::from_millis(1100);

#[tokio::test]
async fn keys_that_came_together_with_a_slow_one_are_applied_while_it_is_at_work() -> Result {
    // GIVEN six keys that came at one moment, one of them with a handler that waits
    let mut bench = Bench::new().await?;
    let keys = ["a", "slow", "b", "c", "d", "e"];
    let events = (1..).zip(keys).map(|(n, key)| event(None, key, n));
    bench.put_together(0, events.collect()).await?;
    let (arrived, gate) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let (at_work, may_go) = (arrived.clone(), gate.clone());
    // WHEN a member takes the stream over, of whose handler nothing is known
    let describe = bench.describe().lease(Duration::from_secs(60));
    let member = Member::start(describe.on(TOPIC, move |tx, event| {
        let (arrived, gate) = (arrived.clone(), gate.clone());
        Box::pin(async move {
            if event.key.as_deref() == Some("slow") {
                arrived.notify_one();
                gate.acquire().await?.forget();
            }
            note(tx, event).await
        })
    }))?;
    at_work.notified().await;
    // THEN the five others have their effect while it waits
    let mut others = bench.effects(5).await?;
    others.sort_unstable();
    assert_eq!(
        others.iter().map(|(key, _)| key.as_str()).collect::<String>(),
        "abcde"
    );
    may_go.add_permits(1);
    bench.effects(6).await?;
    member.stop().await?;
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

/// Notes the order and the transaction; the one of key `slow` takes long.
fn note_slowly<'a>(tx: &'a mut PgConnection, event: &'a Event) -> BoxFuture<'a, HandlerResult> {
    Box::pin(async move {
        if event.key.as_deref() == Some("slow") {
            sqlx::query("select pg_sleep($1)")
                .bind(LONG.as_secs_f64())
                .execute(&mut *tx)
                .await?;
        }
        let order: Order = event.json()?;
        sqlx::query("insert into effect (key, number, member) values ($1, $2, pg_current_xact_id()::text)")
            .bind(&event.key)
            .bind(order.number)
            .execute(tx)
            .await?;
        Ok(())
    })
}

#[tokio::test]
async fn a_transaction_that_took_long_gives_back_what_had_no_turn_and_forgets_that_it_came() -> Result {
    // GIVEN a member that has seen that its handler is quick, so that it takes many events at a time
    let mut bench = Bench::new().await?;
    let describe = bench.describe().lease(Duration::from_secs(60)).concurrency(1);
    let describe = describe.deduplicate(TOPIC, Identity::Content, Duration::from_secs(3600));
    let member = Member::start(describe.on(TOPIC, note_slowly))?;
    bench.put_all(&vec!["quick"; 200]).await?;
    bench.effects(200).await?;
    // WHEN one of five is slow: behind it a new one, one that says the same as it, and one of a stranger
    let mut repeated = event(None, "c", 203);
    repeated["id"] = json!("event-204");
    let mut strange = event(None, "d", 205);
    strange.as_object_mut().map(|event| event.remove("recordedtime"));
    let others = [
        event(None, "a", 201),
        event(None, "slow", 202),
        event(None, "b", 203),
        repeated,
        strange,
    ];
    bench.put_together(200, others.into()).await?;
    bench
        .until("select coalesce(bool_or(passed_entry = '1-205'), false) from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    // THEN it was committed with what came before it, and the others in another transaction
    let transactions: Vec<(i64, String)> =
        sqlx::query_as("select number, member from effect where number > 200 order by n")
            .fetch_all(&bench.pool)
            .await?;
    let [(201, of_a), (202, of_slow), (203, of_b), (205, _)] = transactions.as_slice() else {
        panic!("each once, in their order, and what was said before not at all: {transactions:?}");
    };
    assert_eq!(of_a, of_slow);
    assert_ne!(of_slow, of_b);
    let outcomes: Vec<(String, String)> = sqlx::query_as(
        "select id, outcome from outbox.inbox where id > 'event-200' and id <= 'event-205'
         union all select id, outcome from outbox.inbox_foreign order by id",
    )
    .fetch_all(&bench.pool)
    .await?;
    let outcomes: Vec<(&str, &str)> = outcomes.iter().map(|(id, outcome)| (&**id, &**outcome)).collect();
    assert_eq!(
        outcomes,
        [
            ("event-201", "applied"),
            ("event-202", "applied"),
            ("event-203", "applied"),
            ("event-204", "skipped"),
            ("event-205", "applied")
        ]
    );
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

/// Notes orders one at a time; refuses several, and takes long to find that out.
struct OneAtATime;

impl BatchHandler for OneAtATime {
    fn handle<'a>(&'a self, tx: &'a mut PgConnection, events: &'a [Event]) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            match events {
                [event] => note(tx, event).await,
                _ => {
                    tokio::time::sleep(LONG).await;
                    Err(HandlerError::new("one at a time"))
                }
            }
        })
    }
}

#[tokio::test]
async fn a_slice_that_failed_and_took_long_still_brings_the_stream_on() -> Result {
    // GIVEN a handler of slices that takes long to refuse several events at once
    let mut bench = Bench::new().await?;
    bench.put_all(&["a", "b", "c", "d"]).await?;
    let describe = bench.describe().lease(Duration::from_secs(60)).concurrency(1);
    // WHEN it is consumed
    let member = Member::start(describe.on_batch(TOPIC, OneAtATime))?;
    let effects = bench.effects(4).await?;
    member.stop().await?;
    // THEN every transaction had one by itself at least, and no attempt was spent
    let numbers: Vec<i64> = effects.iter().map(|(_, number)| *number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
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
    Ok(())
}

#[tokio::test]
async fn only_what_a_transaction_entered_itself_can_be_given_back() -> Result {
    // GIVEN an event that was applied
    let mut bench = Bench::new().await?;
    bench.put_all(&["a"]).await?;
    let member = bench.start()?;
    bench.effects(1).await?;
    member.stop().await?;
    // WHEN its row is given back by another transaction
    let mut consumer = bench.pool.begin().await?;
    consumer.execute("set local role outbox_consumer").await?;
    let removed: i32 = sqlx::query_scalar(
        "select outbox.give_back('stock', array['/shop'], array['event-1'], array[$1::timestamptz],
                                 'orders.placed', array[null::bytea])",
    )
    .bind(recorded_before(0))
    .fetch_one(&mut *consumer)
    .await?;
    consumer.commit().await?;
    // THEN it stays
    assert_eq!(removed, 0);
    assert_eq!(bench.value::<i64>("select count(*) from outbox.inbox").await?, 1);
    Ok(())
}
