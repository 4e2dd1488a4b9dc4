//! Keys beside each other: at the same time, each in its order, and none at the expense of another.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use outbox_core::consume::{Handler, HandlerResult, Ordering as Kept, PgConnection};
use outbox_core::event::Event;
use system_tests::{Login, Result};
use tokio::sync::{Barrier, Notify, Semaphore};

use super::bench::{Bench, Member, TOPIC, event, note};

/// Notes each order once so many handlers are under way at the same time.
struct AllAtOnce(Barrier);

impl Handler for AllAtOnce {
    fn handle<'a>(&'a self, tx: &'a mut PgConnection, event: &'a Event) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            self.0.wait().await;
            note(tx, event).await
        })
    }
}

#[tokio::test]
async fn different_keys_are_applied_at_the_same_time() -> Result {
    // GIVEN a handler that waits until three of its kind are under way
    let mut bench = Bench::new().await?;
    bench.put_all(&["a", "b", "c"]).await?;
    // WHEN three keys come
    let describe = bench.describe().batch(1).concurrency(3);
    let member = Member::start(describe.on_handler(TOPIC, AllAtOnce(Barrier::new(3))))?;
    let effects = bench.effects(3).await?;
    member.stop().await?;
    // THEN each is applied
    assert_eq!(effects.len(), 3);
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn where_order_is_given_up_events_of_one_key_are_applied_at_the_same_time() -> Result {
    // GIVEN the same handler, and three events of one key
    let mut bench = Bench::new().await?;
    bench.put_all(&["a", "a", "a"]).await?;
    // WHEN the consumer does not keep their order
    let describe = bench.describe().batch(1).concurrency(3).ordering(Kept::None);
    let member = Member::start(describe.on_handler(TOPIC, AllAtOnce(Barrier::new(3))))?;
    // THEN each is applied
    assert_eq!(bench.effects(3).await?.len(), 3);
    member.stop().await?;
    Ok(())
}

/// Notes each order, and how many of one key were under way at the same time at most.
struct Watching {
    under_way: Mutex<HashMap<String, usize>>,
    most: AtomicUsize,
}

impl Handler for Watching {
    fn handle<'a>(&'a self, tx: &'a mut PgConnection, event: &'a Event) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            let key = event.key.clone().unwrap_or_default();
            let change = |by: isize| {
                let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
                let count = under_way.entry(key.clone()).or_default();
                *count = count.saturating_add_signed(by);
                self.most.fetch_max(*count, Ordering::SeqCst);
            };
            change(1);
            let outcome = note(tx, event).await;
            tokio::task::yield_now().await;
            change(-1);
            outcome
        })
    }
}

#[tokio::test]
async fn of_one_key_one_event_is_under_way_at_a_time_and_each_in_its_order() -> Result {
    // GIVEN 600 events of seven keys
    let mut bench = Bench::new().await?;
    let keys: Vec<String> = (0..600).map(|n| format!("key-{}", n % 7)).collect();
    bench
        .put_all(&keys.iter().map(String::as_str).collect::<Vec<_>>())
        .await?;
    let watching = Arc::new(Watching {
        under_way: Mutex::default(),
        most: AtomicUsize::new(0),
    });
    // WHEN they are applied in many small transactions at a time
    let handler = watching.clone();
    let member = Member::start(
        bench
            .describe()
            .batch(3)
            .concurrency(6)
            .on(TOPIC, move |tx, event| {
                let handler = handler.clone();
                Box::pin(async move { handler.handle(tx, event).await })
            }),
    )?;
    let effects = bench.effects(600).await?;
    bench
        .until("select coalesce(bool_or(passed_entry = '1-600'), false) from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    // THEN no two of a key met, and each key is in order
    assert_eq!(watching.most.load(Ordering::SeqCst), 1);
    let mut last: HashMap<String, i64> = HashMap::new();
    for (key, number) in effects {
        let before = last.insert(key.clone(), number).unwrap_or(0);
        assert!(before < number, "{key}: {number} after {before}");
    }
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

/// Notes each order; those of key `slow` one by one, as they are let.
struct Slow {
    arrived: Notify,
    gate: Semaphore,
}

impl Slow {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            arrived: Notify::new(),
            gate: Semaphore::new(0),
        })
    }

    fn start(self: &Arc<Self>, bench: &Bench) -> Result<Member> {
        let slow = self.clone();
        Member::start(bench.describe().concurrency(2).on(TOPIC, move |tx, event| {
            let slow = slow.clone();
            Box::pin(async move {
                if event.key.as_deref() == Some("slow") {
                    slow.arrived.notify_one();
                    // The server ends a session that idles in a transaction for longer than the lease.
                    slow.gate.acquire().await?.forget();
                }
                note(tx, event).await
            })
        }))
    }
}

fn numbers_of(effects: &[(String, i64)], wanted: &str) -> Vec<i64> {
    let of_key = effects.iter().filter(|(key, _)| key == wanted);
    of_key.map(|(_, number)| *number).collect()
}

#[tokio::test]
async fn a_slow_key_keeps_its_order_and_holds_nobody_else() -> Result {
    // GIVEN an event of a key whose handler waits
    let mut bench = Bench::new().await?;
    let slow = Slow::new();
    let member = slow.start(&bench)?;
    bench.put_all(&["slow"]).await?;
    slow.arrived.notified().await;
    // WHEN more of it come, and others
    let mut keys = vec!["slow", "slow"];
    keys.extend(std::iter::repeat_n("quick", 100));
    bench.put_all(&keys).await?;
    // THEN the others are applied meanwhile
    let before = bench.effects(100).await?;
    assert_eq!(numbers_of(&before, "slow"), [0; 0]);
    // AND nothing is acknowledged before everything in front of it is committed
    assert_eq!(bench.pending().await?, 103);
    slow.gate.add_permits(3);
    let effects = bench.effects(103).await?;
    bench
        .until("select coalesce(bool_or(passed_entry = '1-103'), false) from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    assert_eq!(numbers_of(&effects, "slow"), [1, 2, 3]);
    assert_eq!(numbers_of(&effects, "quick"), (4..=103).collect::<Vec<_>>());
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_slow_key_with_more_events_than_the_window_has_room_for_holds_nobody_else() -> Result {
    // GIVEN an event of a key whose handler waits
    let mut bench = Bench::new().await?;
    let slow = Slow::new();
    let member = slow.start(&bench)?;
    bench.put_all(&["slow"]).await?;
    slow.arrived.notified().await;
    // WHEN 1,500 more of it come, which is more than a member has in hand, and 800 others behind them
    bench.put_all(&vec!["slow"; 1500]).await?;
    bench.put_all(&vec!["quick"; 800]).await?;
    // THEN the others are applied while the first one still waits
    let before = bench.effects(800).await?;
    assert_eq!(numbers_of(&before, "slow"), [0; 0]);
    // AND when that is done, more than a second later, the key is parked, and the stream goes on behind it
    bench
        .until("select coalesce(max(applied_at) < clock_timestamp() - interval '1 second', false) from outbox.inbox")
        .await?;
    slow.gate.add_permits(32);
    bench
        .until("select coalesce(bool_or(passed_entry = '1-2301'), false) from outbox_ops.inbox")
        .await?;
    assert!(
        bench
            .value::<i64>("select count(*) from outbox.parked_event")
            .await?
            > 1000
    );
    slow.gate.add_permits(10_000);
    let effects = bench.effects(2301).await?;
    bench.until("select count(*) = 0 from outbox.parked_lane").await?;
    member.stop().await?;
    assert_eq!(numbers_of(&effects, "slow"), (1..=1501).collect::<Vec<_>>());
    assert_eq!(numbers_of(&effects, "quick"), (1502..=2301).collect::<Vec<_>>());
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_topic_whose_handlers_are_slow_leaves_a_connection_to_each_other_one() -> Result {
    // GIVEN a member with few connections, and a topic all of whose events wait
    let mut bench = Bench::new().await?;
    let slow = Slow::new();
    let waiting = slow.clone();
    let describe = bench
        .describe()
        .lease(Duration::from_secs(20))
        .database_url(bench.world.log().url_of(Login::Consumer))
        .connections(4)
        .batch(1)
        .on(TOPIC, move |tx, event| {
            let slow = waiting.clone();
            Box::pin(async move {
                slow.arrived.notify_one();
                slow.gate.acquire().await?.forget();
                note(tx, event).await
            })
        });
    let member = Member::start(describe.on("other", note))?;
    bench.put_all(&["a", "b", "c", "d", "e", "f"]).await?;
    slow.arrived.notified().await;
    // WHEN an event of another topic comes
    redis::cmd("XADD")
        .arg((
            "outbox:other",
            "1-1",
            "event",
            event(None, "urgent", 77).to_string(),
        ))
        .query_async::<()>(&mut bench.redis)
        .await?;
    // THEN it is applied meanwhile
    assert_eq!(bench.effects(1).await?, [("urgent".to_owned(), 77)]);
    slow.gate.add_permits(6);
    bench.effects(7).await?;
    member.stop().await
}
