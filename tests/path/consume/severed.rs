//! Connections that are lost while a handler is at work: by what it does, or because the server is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use outbox_core::consume::{BatchHandler, Consumer, Handler, HandlerResult, PgConnection};
use outbox_core::event::Event;
use outbox_core::standing::Standing;
use system_tests::patience::until;
use system_tests::proxy::port_of;
use system_tests::{Fault, Login, Proxy, Result};
use tokio::sync::Notify;

use super::bench::{Bench, GROUP, Member, STREAM, TOPIC, event, note, quick_retries};
use super::service::LIMIT;

/// Notes each order; for one of key `kill` the server ends the session.
#[derive(Clone, Default)]
struct Killer(Arc<AtomicUsize>);

impl Handler for Killer {
    fn handle<'a>(&'a self, tx: &'a mut PgConnection, event: &'a Event) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            if event.key.as_deref() == Some("kill") {
                self.0.fetch_add(1, Ordering::SeqCst);
                sqlx::query("select pg_terminate_backend(pg_backend_pid())")
                    .execute(&mut *tx)
                    .await?;
            }
            note(tx, event).await
        })
    }
}

impl BatchHandler for Killer {
    fn handle<'a>(&'a self, tx: &'a mut PgConnection, events: &'a [Event]) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            for event in events {
                Handler::handle(self, tx, event).await?;
            }
            Ok(())
        })
    }
}

/// A member that has seen that its handler is quick gets one of key `kill` among others.
async fn meets_a_killer(bench: &mut Bench, member: Member) -> Result {
    bench
        .put_together(0, (101..=131).map(|n| event(None, "quick", n)).collect())
        .await?;
    bench.effects(31).await?;
    let events = (1..)
        .zip(["a", "kill", "b", "c"])
        .map(|(n, key)| event(None, key, n));
    bench.put_together(31, events.collect()).await?;
    // The others have their effect, and it is given up.
    bench.effects(34).await?;
    bench.until("select count(*) = 1 from outbox.dead_letter").await?;
    bench
        .until("select coalesce(bool_or(passed_entry = '1-35'), false) from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    let (id, class, attempts): (String, String, i32) =
        sqlx::query_as("select id, error_class, attempts from outbox.dead_letter")
            .fetch_one(&bench.pool)
            .await?;
    assert_eq!(
        (id.as_str(), class.as_str(), attempts),
        ("event-2", "connection", 3)
    );
    assert_eq!(
        bench
            .value::<i64>("select count(distinct number) from effect")
            .await?,
        34
    );
    assert_eq!(bench.value::<i64>("select count(*) from effect").await?, 34);
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_event_that_costs_its_connection_holds_up_nobody_and_is_given_up() -> Result {
    // GIVEN a handler that costs its connection at one event
    let mut bench = Bench::new().await?;
    let killer = Killer::default();
    let member = Member::start(bench.describe().concurrency(1).on_handler(TOPIC, killer.clone()))?;
    // WHEN that comes among others THEN it alone is given up
    meets_a_killer(&mut bench, member).await?;
    // AND the first two losses were no attempts: they might have been the fault of somebody else
    assert_eq!(killer.0.load(Ordering::SeqCst), 5);
    Ok(())
}

#[tokio::test]
async fn one_in_a_slice_that_costs_the_connection_is_found_and_given_up() -> Result {
    // GIVEN a handler of slices that costs its connection at one event
    let mut bench = Bench::new().await?;
    let killer = Killer::default();
    let member = Member::start(bench.describe().concurrency(1).on_batch(TOPIC, killer))?;
    // WHEN that comes among others THEN it alone is given up
    meets_a_killer(&mut bench, member).await
}

#[tokio::test]
async fn a_server_that_is_gone_while_a_handler_is_at_work_costs_no_attempt_however_often() -> Result {
    // GIVEN a handler that is in the middle of its work until it is let, and a way to its database that can be cut
    let mut bench = Bench::new().await?;
    bench.put_all(&["a"]).await?;
    let direct = bench.world.log().url_of(Login::Consumer);
    let port = port_of(&direct)?;
    let proxy = Proxy::before(port).await?;
    let (at_work, may_end) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let (arrived, is_let) = (at_work.clone(), may_end.clone());
    let describe = Consumer::builder(GROUP)
        .database_url(proxy.url(&direct, port))
        .redis(bench.world.redis_url_of(Login::Consumer))
        .discovery(None)
        .lease(Duration::from_secs(20))
        .retry(quick_retries());
    let describe = describe.on(TOPIC, move |tx, event| {
        let (arrived, is_let) = (arrived.clone(), is_let.clone());
        Box::pin(async move {
            arrived.notify_one();
            while !is_let.load(Ordering::SeqCst) {
                sqlx::query("select pg_sleep(0.02)").execute(&mut *tx).await?;
            }
            note(tx, event).await
        })
    });
    let consumer = describe.build()?;
    let mut standing = consumer.standing();
    let member = Member::run(consumer);
    // WHEN the server is gone while it is at work, each time, more often than there are attempts
    for _ in 0..4 {
        at_work.notified().await;
        proxy.inflict(Fault::Cut);
        // The member as such notices it too, and tells it later.
        let line = format!("{STREAM}: ");
        let is_waiting = |standing: &Standing| standing.cause().is_some_and(|cause| cause.contains(&line));
        standing.wait_for(is_waiting).await?;
        proxy.heal();
        standing.wait_for(|standing| !is_waiting(standing)).await?;
    }
    // AND its session is ended once, by somebody else
    at_work.notified().await;
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity
               where datname = current_database() and query like 'select pg_sleep(0.02)%'";
    until("its session is ended", LIMIT, async || {
        Ok((bench.value::<i64>(end).await? >= 1).then_some(()))
    })
    .await?;
    at_work.notified().await;
    may_end.store(true, Ordering::SeqCst);
    // THEN it is applied in the end, and no attempt was spent
    bench.effects(1).await?;
    member.stop().await?;
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.dead_letter")
            .await?,
        0
    );
    let without_failure = "select count(*) from outbox.inbox where outcome = 'applied' and history is null";
    assert_eq!(bench.value::<i64>(without_failure).await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_event_that_panics_does_not_overtake_the_one_of_its_key_that_came_before_it() -> Result {
    // GIVEN a member that has seen that its handler is quick, so that it takes many events at a time
    let mut bench = Bench::new().await?;
    let panics = Arc::new(AtomicUsize::new(0));
    let seen = panics.clone();
    let describe = bench.describe().lease(Duration::from_secs(60)).concurrency(1);
    let member = Member::start(describe.on(TOPIC, move |tx, event| {
        let seen = seen.clone();
        Box::pin(async move {
            let is_first = event.id == "event-33" && seen.fetch_add(1, Ordering::SeqCst) == 0;
            assert!(!is_first, "a bug that shows once");
            note(tx, event).await
        })
    }))?;
    let warm: Vec<_> = (1..=31).map(|n| event(None, "warm", n)).collect();
    bench.put_together(0, warm).await?;
    bench.effects(31).await?;
    // WHEN two events of one key come at once, and the second one panics the first time
    let events = vec![event(None, "a", 32), event(None, "a", 33), event(None, "a", 34)];
    bench.put_together(31, events).await?;
    let effects = bench.effects(34).await?;
    member.stop().await?;
    // THEN they have their effects in the order of the stream
    let numbers: Vec<i64> = effects[31..].iter().map(|(_, number)| *number).collect();
    assert_eq!(numbers, [32, 33, 34]);
    Ok(())
}
