//! A handler that takes several events at once.

use outbox_core::consume::{BatchHandler, BoxFuture, HandlerError, HandlerResult, PgConnection};
use outbox_core::event::Event;
use system_tests::Result;

use super::bench::{Bench, Member, TOPIC};
use super::slices::Slices;

/// Notes all orders by one statement, and how many it was given; refuses them if number 5 is among them.
#[derive(Clone, Default)]
struct Notes {
    slices: Slices,
    refuses_five: bool,
    /// What it says then.
    is_dependency: bool,
    panics: bool,
}

impl BatchHandler for Notes {
    fn handle<'a>(&'a self, tx: &'a mut PgConnection, events: &'a [Event]) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            let numbers = self.slices.note(&mut *tx, events).await?;
            let is_refused = self.refuses_five && numbers.contains(&5);
            assert!(!(is_refused && self.panics), "a bug");
            if is_refused {
                return Err(match self.is_dependency {
                    true => HandlerError::dependency("stock service", "connection refused"),
                    false => HandlerError::new("five is refused"),
                });
            }
            Ok(())
        })
    }
}

async fn put_twenty(bench: &mut Bench) -> Result {
    let keys: Vec<String> = (0..20).map(|n| format!("key-{}", n % 4)).collect();
    bench
        .put_all(&keys.iter().map(String::as_str).collect::<Vec<_>>())
        .await
}

#[tokio::test]
async fn several_events_are_handed_over_at_once_and_in_their_order() -> Result {
    // GIVEN 20 events of four keys
    let mut bench = Bench::new().await?;
    put_twenty(&mut bench).await?;
    let notes = Notes::default();
    // WHEN a handler takes them by the slice
    let member = Member::start(bench.describe().concurrency(1).on_batch(TOPIC, notes.clone()))?;
    let effects = bench.effects(20).await?;
    member.stop().await?;
    // THEN it was called less often than there are events, and each key is in order
    assert!(notes.slices.sizes().len() < 20, "{:?}", notes.slices.sizes());
    assert_eq!(notes.slices.sizes().iter().sum::<usize>(), 20);
    let numbers: Vec<i64> = effects.iter().map(|(_, number)| *number).collect();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    assert_eq!(bench.value::<i64>("select count(*) from outbox.inbox").await?, 20);
    Ok(())
}

#[tokio::test]
async fn when_a_slice_fails_each_event_is_tried_alone_and_the_others_are_applied() -> Result {
    // GIVEN a handler that refuses any slice with order 5 in it, by an error or by a panic
    for panics in [false, true] {
        let mut bench = Bench::new().await?;
        put_twenty(&mut bench).await?;
        let notes = Notes {
            refuses_five: true,
            panics,
            ..Notes::default()
        };
        // WHEN it is consumed
        let member = Member::start(bench.describe().on_batch(TOPIC, notes))?;
        bench.until("select count(*) = 1 from outbox.dead_letter").await?;
        bench
            .until("select coalesce(bool_or(passed_entry = '1-20'), false) from outbox_ops.inbox")
            .await?;
        member.stop().await?;
        // THEN that one is given up after its own three attempts, those behind it wait, the others are applied once
        let (id, attempts): (String, i32) = sqlx::query_as("select id, attempts from outbox.dead_letter")
            .fetch_one(&bench.pool)
            .await?;
        assert_eq!((id.as_str(), attempts), ("event-5", 3));
        let waiting: Vec<String> = sqlx::query_scalar("select id from outbox.parked_event order by place")
            .fetch_all(&bench.pool)
            .await?;
        assert_eq!(waiting, ["event-9", "event-13", "event-17"]);
        let applied: (i64, i64) = sqlx::query_as("select count(*), count(distinct number) from effect")
            .fetch_one(&bench.pool)
            .await?;
        assert_eq!(applied, (16, 16));
    }
    Ok(())
}

#[tokio::test]
async fn of_a_slice_that_needs_what_is_down_the_one_that_needs_it_is_found() -> Result {
    // GIVEN a handler that says of any slice with order 5 in it that a dependency is down
    let mut bench = Bench::new().await?;
    put_twenty(&mut bench).await?;
    let notes = Notes {
        refuses_five: true,
        is_dependency: true,
        ..Notes::default()
    };
    // WHEN it is consumed
    let member = Member::start(bench.describe().on_batch(TOPIC, notes))?;
    // THEN the others are applied, but for those behind it in its key
    let effects = bench.effects(16).await?;
    member.stop().await?;
    let of_its_key = |(key, number): &&(String, i64)| key == "key-0" && *number > 1;
    assert_eq!(effects.iter().find(of_its_key), None);
    Ok(())
}
