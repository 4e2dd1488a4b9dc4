//! What the kind of a failure means: give up, wait for another version, wait for what is down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use outbox_core::consume::{HandlerError, HandlerResult};
use serde_json::json;
use sqlx::Executor;
use system_tests::Result;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::bench::{Bench, Member, TOPIC, event, note};

#[tokio::test]
async fn while_something_is_down_no_attempt_is_spent_and_one_event_is_tried_now_and_then() -> Result {
    // GIVEN 100 events of 100 keys, and a service that every handler needs and that is down
    let mut bench = Bench::new().await?;
    let keys: Vec<String> = (0..100).map(|n| format!("key-{n}")).collect();
    bench
        .put_all(&keys.iter().map(String::as_str).collect::<Vec<_>>())
        .await?;
    let (is_down, calls, called) = (
        Arc::new(AtomicBool::new(true)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(Notify::new()),
    );
    let service = (is_down.clone(), calls.clone(), called.clone());
    let consumer = bench
        .describe()
        .concurrency(2)
        .on(TOPIC, move |tx, event| {
            let (is_down, calls, called) = service.clone();
            Box::pin(async move {
                calls.fetch_add(1, Ordering::SeqCst);
                called.notify_one();
                if is_down.load(Ordering::SeqCst) {
                    return Err(HandlerError::dependency("stock service", "connection refused"));
                }
                note(tx, event).await
            })
        })
        .build()?;
    let mut standing = consumer.standing();
    let token = CancellationToken::new();
    // WHEN it is consumed for a while
    let task = tokio::spawn(consumer.run(token.clone()));
    standing
        .wait_for(|standing| {
            standing
                .cause()
                .is_some_and(|cause| cause.contains("stock service"))
        })
        .await?;
    while calls.load(Ordering::SeqCst) < 4 {
        called.notified().await;
    }
    // THEN a handful of calls was made for the hundred, and none of them counts
    let made = calls.load(Ordering::SeqCst);
    assert!(made < 10, "{made} calls");
    let counted =
        "select (select count(*) from outbox.parked_event) + (select count(*) from outbox.dead_letter)
                        + (select count(*) from outbox.inbox)";
    assert_eq!(bench.value::<i64>(counted).await?, 0);
    // AND once it is back, one of them gets through and all the others follow
    is_down.store(false, Ordering::SeqCst);
    bench.effects(100).await?;
    let ready = standing.wait_for(|standing| standing.is_ready());
    tokio::time::timeout(Duration::from_secs(120), ready).await??;
    token.cancel();
    task.await??;
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.dead_letter")
            .await?,
        0
    );
    Ok(())
}

#[tokio::test]
async fn a_parked_event_that_needs_what_is_down_keeps_its_attempts() -> Result {
    // GIVEN an event that failed once, and then needs a service that is down
    let mut bench = Bench::new().await?;
    let (calls, called) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (count, tell) = (calls.clone(), called.clone());
    let member = Member::start(bench.describe().on(TOPIC, move |tx, event| {
        let (count, tell) = (count.clone(), tell.clone());
        Box::pin(async move {
            let call = count.fetch_add(1, Ordering::SeqCst);
            tell.notify_one();
            match call {
                0 => Err(HandlerError::new("not yet")),
                1..5 => Err(HandlerError::dependency("stock service", "connection refused")),
                _ => note(tx, event).await,
            }
        })
    }))?;
    // WHEN it was tried again and again
    bench.put_all(&["a"]).await?;
    bench.effects(1).await?;
    member.stop().await?;
    // THEN it is applied although it was called more often than it may fail
    assert_eq!(calls.load(Ordering::SeqCst), 6);
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.dead_letter")
            .await?,
        0
    );
    Ok(())
}

/// An order of a version.
async fn put_version(bench: &mut Bench, n: i64, key: &str, version: &str) -> Result {
    let previous = if n == 1 {
        "0-0".to_owned()
    } else {
        format!("1-{}", n - 1)
    };
    let mut event = event(Some(&previous), key, n);
    event["schemaversion"] = json!(version);
    bench
        .put_raw(&format!("1-{n}"), "event", event.to_string().as_bytes())
        .await
}

#[tokio::test]
async fn an_unknown_version_waits_with_its_key_for_a_member_that_knows_it() -> Result {
    // GIVEN a member that knows version 1, and an event of version 2 among others
    let mut bench = Bench::new().await?;
    let describe = |bench: &Bench, versions: &[&str]| {
        let versions: Vec<String> = versions.iter().map(|version| (*version).to_owned()).collect();
        bench.describe().versions(TOPIC, TOPIC, versions).on(TOPIC, note)
    };
    put_version(&mut bench, 1, "a", "2").await?;
    put_version(&mut bench, 2, "a", "1").await?;
    put_version(&mut bench, 3, "b", "1").await?;
    let older = Member::start(describe(&bench, &["1"]))?;
    bench
        .until("select coalesce(bool_or(passed_entry = '1-3'), false) from outbox_ops.inbox")
        .await?;
    older.stop().await?;
    // THEN the key waits, nothing of it counts as failed, and the others go on
    assert_eq!(bench.effects(1).await?, [("b".to_owned(), 3)]);
    let lane: (String, i64, i32) = sqlx::query_as(
        "select state, (select count(*) from outbox.parked_event), (select max(attempts) from outbox.parked_event)
         from outbox.parked_lane",
    )
    .fetch_one(&bench.pool)
    .await?;
    assert_eq!(lane, ("waiting_version".to_owned(), 2, 0));
    // AND another member of the older version leaves it alone
    let older = Member::start(describe(&bench, &["1"]))?;
    put_version(&mut bench, 4, "b", "1").await?;
    bench.effects(2).await?;
    older.stop().await?;
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.parked_event")
            .await?,
        2
    );
    // WHEN a member that knows both is there
    let newer = Member::start(describe(&bench, &["1", "2"]))?;
    let effects = bench.effects(4).await?;
    bench.until("select count(*) = 0 from outbox.parked_lane").await?;
    newer.stop().await?;
    // THEN it is applied in its order
    let numbers: Vec<i64> = effects.iter().map(|(_, number)| *number).collect();
    assert_eq!(numbers, [3, 4, 1, 2]);
    Ok(())
}

/// An SQL function that raises what the order of a key asks for, until the table `mended` has a row.
const FUNCTION: &str = "
    create table mended (yes boolean);
    create schema shop authorization test_consumer;
    create function shop.apply_order(event json) returns void language plpgsql as $$
    begin
        if event ->> 'partitionkey' like 'OB%' and not exists (select from mended) then
            raise exception 'as asked' using errcode = event ->> 'partitionkey';
        end if;
        insert into public.effect (key, number) values (event ->> 'partitionkey', (event -> 'data' ->> 'number')::bigint);
    end $$";

#[tokio::test]
async fn an_sql_function_names_the_kind_by_its_sqlstate() -> Result {
    // GIVEN a function that raises poison for one key and an unknown version for another
    let mut bench = Bench::new().await?;
    bench.pool.execute(FUNCTION).await?;
    bench.put_all(&["OB422", "OB501", "a"]).await?;
    let member = Member::start(bench.describe().call(TOPIC, "shop.apply_order"))?;
    bench
        .until("select coalesce(bool_or(passed_entry = '1-3'), false) from outbox_ops.inbox")
        .await?;
    // THEN one is dead at once, and the other waits for another version
    let (class, kind, attempts): (String, String, i32) =
        sqlx::query_as("select error_class, error_kind, attempts from outbox.dead_letter")
            .fetch_one(&bench.pool)
            .await?;
    assert_eq!((class.as_str(), kind.as_str(), attempts), ("OB422", "poison", 1));
    let waiting: String = bench
        .value("select lane from outbox.parked_lane where state = 'waiting_version'")
        .await?;
    assert_eq!(waiting, "kOB501");
    // AND something that is down holds the stream, and spends no attempt
    bench.put_all(&["OB503"]).await?;
    bench
        .until("select count(*) = 1 from effect where key = 'a'")
        .await?;
    bench.pool.execute("insert into mended values (true)").await?;
    bench
        .until("select count(*) = 1 from effect where key = 'OB503'")
        .await?;
    member.stop().await?;
    let dead: i64 = bench.value("select count(*) from outbox.dead_letter").await?;
    assert_eq!(dead, 1);
    Ok(())
}

#[tokio::test]
async fn a_handler_may_find_out_itself_that_it_does_not_know_a_version() -> Result {
    // GIVEN a handler that looks at the version itself
    let mut bench = Bench::new().await?;
    put_version(&mut bench, 1, "a", "7").await?;
    put_version(&mut bench, 2, "b", "1").await?;
    let member = Member::start(bench.describe().on(TOPIC, |tx, event| {
        Box::pin(async move {
            let known: HandlerResult = match event.schema_version.as_deref() {
                Some("1") => Ok(()),
                _ => Err(HandlerError::unknown_version()),
            };
            known?;
            note(tx, event).await
        })
    }))?;
    // WHEN it is called
    bench.effects(1).await?;
    bench
        .until("select coalesce(bool_or(state = 'waiting_version'), false) from outbox.parked_lane")
        .await?;
    member.stop().await?;
    // THEN the key waits
    assert_eq!(
        bench
            .value::<String>("select id from outbox.parked_event")
            .await?,
        "event-1"
    );
    Ok(())
}
