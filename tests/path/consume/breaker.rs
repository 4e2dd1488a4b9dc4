//! Who says that something is down although it is not, and probes that nobody hears of.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use outbox_core::consume::{Builder, Handler, HandlerError, HandlerResult};
use outbox_core::event::Event;
use serde_json::json;
use sqlx::{Executor, PgConnection};
use system_tests::{Failure, Result};
use tokio::sync::Notify;

use super::bench::{Bench, Member, TOPIC, event, note};
use super::writer::Writer;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// For the keys that begin with `stuck` something is always down.
fn sometimes_stuck(builder: Builder) -> Builder {
    builder.on(TOPIC, |tx, event| {
        Box::pin(async move {
            if event.key.as_deref().is_some_and(|key| key.starts_with("stuck")) {
                return Err(HandlerError::dependency("stock service", "connection refused"));
            }
            note(tx, event).await
        })
    })
}

/// For whatever it is called, something is down.
struct Refusing(Arc<AtomicUsize>);

impl Handler for Refusing {
    fn handle<'a>(&'a self, _: &'a mut PgConnection, _: &'a Event) -> BoxFuture<'a, HandlerResult> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let error = HandlerError::dependency("stock service", "connection refused");
        Box::pin(async move { Err(error) })
    }
}

#[tokio::test]
async fn a_key_that_alone_says_that_something_is_down_holds_nobody_and_is_given_up() -> Result {
    // GIVEN two keys whose handler always says that a dependency is down, among others for which it never is
    let mut bench = Bench::new().await?;
    let mut keys: Vec<String> = (0..50).map(|n| format!("key-{n}")).collect();
    keys.insert(0, "stuck-1".to_owned());
    keys.insert(10, "stuck-2".to_owned());
    bench
        .put_all(&keys.iter().map(String::as_str).collect::<Vec<_>>())
        .await?;
    // WHEN they are consumed
    let member = Member::start(sometimes_stuck(bench.describe()))?;
    // THEN the others go on
    bench.effects(50).await?;
    // AND while others of its type get through, each attempt of theirs counts, up to the last one
    let dead = "select count(*) from outbox.dead_letter";
    let mut effects = 50;
    let given_up = tokio::time::timeout(PATIENCE, async {
        while bench.value::<i64>(dead).await? < 2 {
            bench.put_all(&["another"]).await?;
            effects += 1;
            bench.effects(effects).await?;
        }
        Ok::<(), Failure>(())
    });
    given_up
        .await
        .map_err(|_| Failure::new("they are not given up"))??;
    member.stop().await?;
    let letters: Vec<(String, String, i32, String)> =
        sqlx::query_as("select error_class, error_kind, attempts, error from outbox.dead_letter")
            .fetch_all(&bench.pool)
            .await?;
    assert_eq!(letters.len(), 2);
    for (class, kind, attempts, error) in letters {
        assert_eq!(
            (class.as_str(), kind.as_str(), attempts),
            ("dependency", "transient", 3)
        );
        assert!(
            error.contains("dependency") && error.contains("connection refused"),
            "{error}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_is_down_for_one_type_does_not_hold_the_others_for_ever() -> Result {
    // GIVEN a single key of a type that needs what is down, with several events, before others of another type
    let mut bench = Bench::new().await?;
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let member = Member::start(bench.describe().on(TOPIC, note).on_type(
        TOPIC,
        "orders.paid",
        Refusing(count),
    ))?;
    let mut events = Vec::new();
    for n in 1..=40 {
        let mut event = event(None, if n <= 4 { "paid" } else { "a" }, n);
        if n <= 3 {
            event["type"] = json!("orders.paid");
        }
        events.push(event);
    }
    // WHEN they are consumed
    bench.put_together(0, events).await?;
    // THEN the others are applied, but for the one that waits behind them in its key
    let effects = bench.effects(36).await?;
    assert!(effects.iter().all(|(key, _)| key == "a"));
    // AND nothing is counted: nobody knows whether it is down or not
    bench.put_together(40, vec![event(None, "b", 41)]).await?;
    bench.effects(37).await?;
    let made = calls.load(Ordering::SeqCst);
    let counted = "select (select count(*) from outbox.dead_letter) + (select coalesce(sum(attempts), 0)::bigint from outbox.parked_event)";
    assert_eq!(bench.value::<i64>(counted).await?, 0, "{made} calls");
    member.stop().await
}

#[tokio::test]
async fn when_a_session_ends_with_its_probe_under_way_another_one_is_tried_at_once() -> Result {
    // GIVEN a dependency that is down at the first call, and a probe that does not come to its end
    let mut bench = Bench::new().await?;
    let (calls, probing) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (count, tell) = (calls.clone(), probing.clone());
    let member = Member::start(bench.describe().on(TOPIC, move |tx, event| {
        let (count, tell) = (count.clone(), tell.clone());
        Box::pin(async move {
            match count.fetch_add(1, Ordering::SeqCst) {
                0 => Err(HandlerError::dependency("stock service", "connection refused")),
                1 => {
                    tell.notify_one();
                    std::future::pending().await
                }
                _ => note(tx, event).await,
            }
        })
    }))?;
    bench.put_all(&["a"]).await?;
    probing.notified().await;
    // WHEN the member loses its lease, and has it again: far sooner than the probe would have run out of time
    bench
        .pool
        .execute(
            "update outbox.consumer_lease set epoch = epoch + 1, holder = 'thief', expires_at = clock_timestamp() + interval '500 ms'",
        )
        .await?;
    // THEN the event is tried again, and the stream goes on
    assert_eq!(bench.effects(1).await?, [("a".to_owned(), 1)]);
    member.stop().await
}

#[tokio::test]
async fn when_the_stream_of_what_failed_moved_away_the_others_do_not_wait_for_it() -> Result {
    // GIVEN a member of two partitions, and a key in one of them for which something is always down
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, 2).await?;
    let consumer = sometimes_stuck(bench.describe().member("one")).build()?;
    let mut standing = consumer.standing();
    let member = Member::run(consumer);
    let stuck = writer.partition_of("stuck");
    bench
        .until("select count(*) = 2 from outbox.consumer_lease where holder = 'one'")
        .await?;
    writer.put(&["stuck"]).await?;
    let is_down = |cause: &str| cause.contains("stock service");
    standing
        .wait_for(|standing| standing.cause().is_some_and(is_down))
        .await?;
    // AND the other one begins anew, with nothing to try, so that it knows
    let take = "update outbox.consumer_lease set epoch = epoch + 1, holder = 'thief', expires_at = clock_timestamp() + $2
                where stream = $1";
    let take = |stream: String, seconds: i64| {
        sqlx::query(take)
            .bind(stream)
            .bind(time::Duration::seconds(seconds))
    };
    take(writer.stream(1 - stuck), 1).execute(&bench.pool).await?;
    bench
        .until("select count(*) = 2 and max(epoch) >= min(epoch) + 2 from outbox.consumer_lease where holder = 'one'")
        .await?;
    bench.until_looked_again().await?;
    // WHEN another member takes the partition of that key
    take(writer.stream(stuck), 300).execute(&bench.pool).await?;
    // THEN nothing waits here any more
    let ready = standing.wait_for(|standing| standing.is_ready());
    tokio::time::timeout(PATIENCE, ready).await??;
    member.stop().await
}
