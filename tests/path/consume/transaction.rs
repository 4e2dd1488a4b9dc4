//! The transaction belongs to the consumer: a handler that commits it is found out before anything is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use outbox_core::consume::{DeadPolicy, HandlerError, HandlerResult, PgConnection};
use outbox_core::event::Event;
use system_tests::Result;

use super::bench::{Bench, Member, TOPIC, event, note};

/// Notes the order and commits.
async fn note_and_commit(tx: &mut PgConnection, event: &Event) -> HandlerResult {
    note(tx, event).await?;
    sqlx::query("commit").execute(&mut *tx).await?;
    Ok(())
}

#[tokio::test]
async fn a_handler_that_commits_keeps_nothing_and_has_failed() -> Result {
    // GIVEN a handler that commits the transaction of its event, among others that do not
    let mut bench = Bench::new().await?;
    bench.put_all(&["a", "b", "c"]).await?;
    let member = Member::start(bench.describe().on(TOPIC, |tx, event| {
        Box::pin(async move {
            match event.id.as_str() {
                "event-2" => note_and_commit(tx, event).await,
                _ => note(tx, event).await,
            }
        })
    }))?;
    // WHEN it had its attempts, the first of them in a batch, the others by itself
    bench.until("select count(*) = 1 from outbox.dead_letter").await?;
    bench
        .until("select coalesce(bool_or(passed_entry = '1-3'), false) from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    // THEN it is given up with that reason, has no effect, and the others have one
    let (class, attempts): (String, i32) =
        sqlx::query_as("select error_class, attempts from outbox.dead_letter")
            .fetch_one(&bench.pool)
            .await?;
    assert_eq!((class.as_str(), attempts), ("2D000", 3));
    let mut numbers: Vec<i64> = sqlx::query_scalar("select number from effect")
        .fetch_all(&bench.pool)
        .await?;
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 3]);
    Ok(())
}

#[tokio::test]
async fn it_is_found_out_also_behind_an_event_that_came_again() -> Result {
    // GIVEN a member that applied an event and takes several at a time, with a handler that commits and says that all is well
    let mut bench = Bench::new().await?;
    bench.put_all(&["a"]).await?;
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let member = Member::start(bench.describe().on(TOPIC, move |tx, event| {
        let count = count.clone();
        Box::pin(async move {
            note(tx, event).await?;
            if event.id == "event-1" {
                return Ok(());
            }
            count.fetch_add(1, Ordering::SeqCst);
            match sqlx::query("commit").execute(&mut *tx).await {
                Ok(_) => Ok(()),
                Err(_) => Err(HandlerError::new("the commit was refused")),
            }
        })
    }))?;
    bench.effects(1).await?;
    // WHEN that event comes again together with a new one
    let events = [event(None, "a", 1), event(None, "b", 2)];
    bench.put_together(1, events.into()).await?;
    bench.until("select count(*) = 1 from outbox.dead_letter").await?;
    member.stop().await?;
    // THEN each of its commits was refused
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    let error: String = bench.value("select error from outbox.dead_letter").await?;
    assert_eq!(error, "the commit was refused");
    assert_eq!(bench.value::<i64>("select count(*) from effect").await?, 1);
    Ok(())
}

#[tokio::test]
async fn what_a_handler_leaves_set_is_no_fault_of_the_others_and_does_not_stop_the_stream() -> Result {
    // GIVEN a member that takes several events at a time, with a handler that gives up its rights at two of them
    let mut bench = Bench::new().await?;
    let is_first = Arc::new(AtomicUsize::new(0));
    let count = is_first.clone();
    // One that has other rights to take.
    let login = format!("login_{}", bench.world.log().name());
    let grant = format!(
        "create role {login} login in role outbox_consumer, outbox_observer; grant insert on effect to {login}"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(grant))
        .execute(&bench.pool)
        .await?;
    let as_login = format!("//{login}@");
    let url = bench.world.database_url().replacen("//postgres@", &as_login, 1);
    let describe = bench
        .describe()
        .database_url(url)
        .concurrency(1)
        .on_dead(DeadPolicy::Skip);
    let member = Member::start(describe.on(TOPIC, move |tx, event| {
        let count = count.clone();
        Box::pin(async move {
            match event.id.as_str() {
                "event-2" | "event-6" => {
                    sqlx::query("set local role outbox_observer").execute(tx).await?;
                    Ok(())
                }
                "event-3" => Err(HandlerError::new("never")),
                "event-5" if count.fetch_add(1, Ordering::SeqCst) == 0 => Err(HandlerError::new("not yet")),
                _ => note(tx, event).await,
            }
        })
    }))?;
    bench
        .put_together(0, (101..=131).map(|n| event(None, "warm", n)).collect())
        .await?;
    bench.effects(31).await?;
    // WHEN these come among others: one in a batch with an event that is to be parked, one in a lane of parked ones
    let keys = ["a", "role", "bad", "b", "late", "late", "late"];
    let events = (1..).zip(keys).map(|(n, key)| event(None, key, n));
    bench.put_together(31, events.collect()).await?;
    // THEN all others are applied, once, and the stream goes on
    bench.effects(35).await?;
    bench
        .until("select coalesce(bool_or(passed_entry = '1-38'), false) from outbox_ops.inbox")
        .await?;
    bench.until("select count(*) = 0 from outbox.parked_lane").await?;
    member.stop().await?;
    let numbers: Vec<i64> =
        sqlx::query_scalar("select number from effect where number < 100 order by number")
            .fetch_all(&bench.pool)
            .await?;
    assert_eq!(numbers, [1, 4, 5, 7]);
    // AND who did that while it waited has failed by it; nobody else has an attempt more
    let class: String = bench
        .value("select error_class from outbox.dead_letter where id = 'event-6'")
        .await?;
    assert_eq!(class, "42501");
    let innocent =
        "select count(*) from outbox.inbox where id in ('event-1', 'event-4', 'event-7') and history is null";
    assert_eq!(bench.value::<i64>(innocent).await?, 3);
    Ok(())
}
