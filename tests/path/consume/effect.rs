//! One effect per event, whatever comes again.

use std::sync::Arc;

use outbox_core::consume::Error;
use serde_json::json;
use system_tests::patience::until;
use system_tests::{Login, Result, Schema, World};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::bench::{
    Bench, GROUP, Member, PATIENCE, STREAM, TOPIC, chain, event, note, recorded_before, told,
};

#[tokio::test]
async fn each_event_has_its_effect_in_order_and_is_acknowledged() -> Result {
    // GIVEN a stream of two keys
    let mut bench = Bench::new().await?;
    for (n, (id, previous)) in (1..).zip(chain(100)) {
        bench
            .put(&id, Some(&previous), if n % 2 == 0 { "a" } else { "b" }, n)
            .await?;
    }
    // WHEN a member consumes it, one transaction after the other
    let member = Member::start(bench.describe().concurrency(1).on(TOPIC, note))?;
    let effects = bench.effects(100).await?;
    member.stop().await?;
    // THEN there is one effect each, in order, and nothing is left pending
    assert_eq!(
        effects.iter().map(|(_, number)| *number).collect::<Vec<_>>(),
        (1..=100).collect::<Vec<_>>()
    );
    assert_eq!(bench.pending().await?, 0);
    let passed: String = bench.value("select passed_entry from outbox_ops.inbox").await?;
    assert_eq!(passed, "1-100");
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.inbox where outcome = 'applied'")
            .await?,
        100
    );
    Ok(())
}

#[tokio::test]
async fn an_event_that_comes_again_has_no_second_effect() -> Result {
    // GIVEN three applied events
    let mut bench = Bench::new().await?;
    for (n, (id, previous)) in (1..).zip(chain(3)) {
        bench.put(&id, Some(&previous), "a", n).await?;
    }
    let member = bench.start()?;
    bench.effects(3).await?;
    member.stop().await?;
    // WHEN the group forgets everything, and two of them are re-issued with fresh ids before a new one
    redis::cmd("XGROUP")
        .arg("DESTROY")
        .arg(STREAM)
        .arg(GROUP)
        .query_async::<()>(&mut bench.redis)
        .await?;
    bench.put("5-2", Some("1-1"), "a", 2).await?;
    bench.put("5-3", Some("5-2"), "a", 3).await?;
    bench.put("5-4", Some("5-3"), "a", 4).await?;
    let member = bench.start()?;
    let effects = bench.effects(4).await?;
    bench
        .until("select passed_entry = '5-4' from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    // THEN only the new one has an effect, and everything is acknowledged
    assert_eq!(
        effects.iter().map(|(_, number)| *number).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    assert_eq!(bench.value::<i64>("select count(*) from effect").await?, 4);
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_event_of_a_stranger_has_one_effect_wherever_the_chain_stands() -> Result {
    // GIVEN an event without predecessor and without recorded time, twice, among those of the relay
    let mut bench = Bench::new().await?;
    let mut stranger = event(None, "s", 77);
    stranger.as_object_mut().map(|event| event.remove("recordedtime"));
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    bench
        .put_raw("2-0", "event", stranger.to_string().as_bytes())
        .await?;
    bench
        .put_raw("3-0", "event", stranger.to_string().as_bytes())
        .await?;
    bench.put("4-2", Some("1-1"), "a", 2).await?;
    // WHEN a member consumes them
    let member = Member::start(bench.describe().concurrency(1).on(TOPIC, note))?;
    let effects = bench.effects(3).await?;
    bench
        .until("select passed_entry = '4-2' from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    // THEN each event had one effect and the chain went on
    assert_eq!(
        effects.iter().map(|(_, number)| *number).collect::<Vec<_>>(),
        [1, 77, 2]
    );
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.inbox_foreign")
            .await?,
        1
    );
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn types_without_a_handler_are_passed_and_leave_nothing_in_the_inbox() -> Result {
    // GIVEN a topic with two types
    let mut bench = Bench::new().await?;
    let mut other = event(Some("0-0"), "a", 1);
    other["type"] = json!("orders.annotated");
    bench
        .put_raw("1-1", "event", other.to_string().as_bytes())
        .await?;
    bench.put("1-2", Some("1-1"), "a", 2).await?;
    other["previousid"] = json!("1-2");
    bench
        .put_raw("1-3", "event", other.to_string().as_bytes())
        .await?;
    // WHEN a member handles one of them
    let member = Member::start(bench.describe().on_type(TOPIC, TOPIC, note))?;
    bench
        .until("select coalesce(bool_or(passed_entry = '1-3'), false) from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    // THEN the other is passed without a trace
    assert_eq!(bench.effects(1).await?, [("a".to_owned(), 2)]);
    assert_eq!(bench.value::<i64>("select count(*) from outbox.inbox").await?, 1);
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn new_events_of_a_handler_commit_with_its_effect_or_not_at_all() -> Result {
    // GIVEN a service that consumes and produces, whose handler appends an event and fails once afterwards
    let mut bench = Bench::with_schema(Schema::Both).await?;
    let failed = std::sync::atomic::AtomicBool::new(false);
    let failed = std::sync::Arc::new(failed);
    let member = Member::start(bench.describe().on(TOPIC, move |tx, event| {
        let first = !failed.swap(true, std::sync::atomic::Ordering::SeqCst);
        Box::pin(async move {
            sqlx::query("select outbox.append('stock.reserved', '{}')")
                .execute(&mut *tx)
                .await?;
            if first {
                return Err(outbox_core::consume::HandlerError::new("no stock yet"));
            }
            note(tx, event).await
        })
    }))?;
    // WHEN an event is applied at the second attempt
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    bench.effects(1).await?;
    member.stop().await?;
    // THEN there is one effect and one new event
    assert_eq!(bench.value::<i64>("select count(*) from outbox.log").await?, 1);
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.parked_event")
            .await?,
        0
    );
    Ok(())
}

#[tokio::test]
async fn streams_of_several_writers_are_consumed_named_or_found() -> Result {
    // GIVEN a topic with a stream of its own and one of another writer, and a mark of the relay
    let mut bench = Bench::new().await?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    let other = event(Some("0-0"), "b", 2).to_string();
    for key in ["outbox:orders.placed@shop-2", "outbox:@mark:orders.placed"] {
        let mut command = redis::cmd("XADD");
        command.arg(key).arg("1-1").arg("event").arg(&other);
        command.query_async::<()>(&mut bench.redis).await?;
    }
    // WHEN one consumer looks for writers and another is told one
    let every = Some(std::time::Duration::from_millis(50));
    let finder = Member::start(bench.describe().discovery(every).on(TOPIC, note))?;
    let mut effects = bench.effects(2).await?;
    finder.stop().await?;
    let named = bench.describe().writers(["shop-3"]).on(TOPIC, note);
    let named = Member::start(named)?;
    let third = event(Some("0-0"), "c", 3).to_string();
    let mut command = redis::cmd("XADD");
    command
        .arg("outbox:orders.placed@shop-3")
        .arg("1-1")
        .arg("event")
        .arg(&third);
    command.query_async::<()>(&mut bench.redis).await?;
    effects.extend(bench.effects(3).await?.into_iter().skip(2));
    named.stop().await?;
    // THEN both streams were applied, and the mark was not
    effects.sort();
    assert_eq!(
        effects,
        [("a".to_owned(), 1), ("b".to_owned(), 2), ("c".to_owned(), 3)]
    );
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.consumer_lease where stream like '%mark%'")
            .await?,
        0
    );
    Ok(())
}

#[tokio::test]
async fn a_database_without_an_inbox_is_refused_with_a_sentence() -> Result {
    // GIVEN a database with the log only
    let world = World::new().await?;
    let consumer = outbox_core::consume::Consumer::builder(GROUP)
        .database_url(world.log().url_of(Login::Consumer))
        .redis(world.redis_url_of(Login::Consumer))
        .on(TOPIC, note)
        .build()?;
    // WHEN a consumer starts
    let outcome = consumer.run(CancellationToken::new()).await;
    // THEN it does not wait for a miracle
    assert!(
        matches!(outcome, Err(Error::Schema { found: None, .. })),
        "{outcome:?}"
    );
    Ok(())
}

#[tokio::test]
async fn an_event_appended_twice_under_one_id_has_one_effect_whenever_it_was_recorded() -> Result {
    // GIVEN the same id three times, recorded on two days: twice before anything is applied, once after
    let mut bench = Bench::new().await?;
    let mut again = event(Some("1-1"), "a", 1);
    again["recordedtime"] = json!(told(recorded_before(-1)));
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    bench
        .put_raw("1-2", "event", again.to_string().as_bytes())
        .await?;
    let member = bench.start()?;
    bench
        .until("select coalesce(bool_or(passed_entry = '1-2'), false) from outbox_ops.inbox")
        .await?;
    again["previousid"] = json!("1-2");
    again["recordedtime"] = json!(told(recorded_before(1)));
    bench
        .put_raw("1-3", "event", again.to_string().as_bytes())
        .await?;
    bench.put("1-4", Some("1-3"), "a", 2).await?;
    // WHEN all are consumed
    let effects = bench.effects(2).await?;
    bench
        .until("select coalesce(bool_or(passed_entry = '1-4'), false) from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    // THEN each id had one effect
    assert_eq!(
        effects.iter().map(|(_, number)| *number).collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(bench.value::<i64>("select count(*) from effect").await?, 2);
    Ok(())
}

#[tokio::test]
async fn of_two_transactions_with_one_id_the_second_waits_for_the_first() -> Result {
    // GIVEN an event in the hands of its handler, and the same id recorded on another day, under another key
    let mut bench = Bench::new().await?;
    let mut again = event(Some("1-1"), "b", 1);
    again["recordedtime"] = json!(told(recorded_before(-1)));
    let (arrived, gate) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let (signal, wait) = (arrived.clone(), gate.clone());
    let describe = bench.describe().lease(PATIENCE).handler_limit(PATIENCE);
    let member = Member::start(describe.on(TOPIC, move |tx, event| {
        let (signal, wait) = (signal.clone(), wait.clone());
        Box::pin(async move {
            signal.notify_one();
            wait.acquire().await?.forget();
            note(tx, event).await
        })
    }))?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    arrived.notified().await;
    // WHEN it comes while the first has not committed
    bench
        .put_raw("1-2", "event", again.to_string().as_bytes())
        .await?;
    until("the second waits", PATIENCE, async || {
        let waiting: i64 = bench
            .value(
                "select count(*) from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock' and wait_event = 'advisory'",
            )
            .await?;
        Ok((waiting == 1).then_some(()))
    })
    .await?;
    gate.add_permits(2);
    bench
        .until("select coalesce(bool_or(passed_entry = '1-2'), false) from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    // THEN it had one effect
    assert_eq!(bench.value::<i64>("select count(*) from effect").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_row_that_somebody_enters_without_a_claim_is_waited_for_and_found() -> Result {
    // GIVEN somebody who enters an event in the inbox and has not committed
    let mut bench = Bench::new().await?;
    let mut open = bench.pool.begin().await?;
    sqlx::query("select outbox.add_inbox_day($1)")
        .bind(recorded_before(0))
        .execute(&bench.pool)
        .await?;
    sqlx::query(
        "insert into outbox.inbox (consumer, source, id, recorded_at, outcome, stream, entry_id)
         values ($1, '/shop', 'event-1', $3, 'dead', $2, '1-1')",
    )
    .bind(GROUP)
    .bind(STREAM)
    .bind(recorded_before(0))
    .execute(&mut *open)
    .await?;
    // WHEN that event comes, with another one behind it
    bench
        .put_together(0, vec![event(None, "a", 1), event(None, "a", 2)])
        .await?;
    let member = bench.start()?;
    until("the member waits for it", PATIENCE, async || {
        let waiting: bool = bench
            .value(
                "select exists (select from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock' and wait_event = 'transactionid')",
            )
            .await?;
        Ok(waiting.then_some(()))
    })
    .await?;
    open.commit().await?;
    // THEN it has no effect, and the other one has one
    let effects = bench.effects(1).await?;
    bench
        .until("select coalesce(bool_or(passed_entry = '1-2'), false) from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    assert_eq!(effects, [("a".to_owned(), 2)]);
    assert_eq!(bench.value::<i64>("select count(*) from effect").await?, 1);
    Ok(())
}
