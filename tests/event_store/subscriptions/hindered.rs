//! What mostly passes by itself (another transaction in the way, too little of something on the server), and once does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use outbox_core::event_store::subscription::Retry;
use sqlx::{Executor as _, PgConnection};
use system_tests::Result;
use system_tests::patience::until;
use tokio::sync::Semaphore;

use super::scene::{PATIENCE, Recorder, Scene, quick};

/// The server refuses with this SQLSTATE.
async fn refuse(transaction: &mut PgConnection, code: &str) -> std::result::Result<(), sqlx::Error> {
    sqlx::query("select set_config('test.code', $1, true)")
        .bind(code)
        .execute(&mut *transaction)
        .await?;
    transaction
        .execute("do $$ begin raise exception 'no' using errcode = current_setting('test.code'); end $$")
        .await?;
    Ok(())
}

/// Refused at each event of this type, each time.
fn refused_at(kind: &'static str, code: &'static str) -> Recorder {
    Recorder::and(move |transaction, event| {
        let is_it = event.event.r#type == kind;
        Box::pin(async move {
            if is_it {
                refuse(transaction, code).await?;
            }
            Ok(())
        })
    })
}

async fn parks_its_stream_and_no_other(code: &'static str) -> Result {
    // GIVEN an event at which the server says each time that something is in the way
    let scene = Scene::new().await?;
    scene.append("order-1", &["placed", "bad", "paid"]).await?;
    scene.append("order-2", &["placed"]).await?;
    let running = scene.start(quick("all"), refused_at("bad", code));
    // THEN it is a failed attempt in the end, its stream waits, and the others go on
    let parked: (i64, i32, String) = until("the stream is parked", PATIENCE, async || {
        Ok(sqlx::query_as(
            "select version, attempts, error_class from outbox.parked_stream where state = 'parked'",
        )
        .fetch_optional(&mut scene.world.connect().await?)
        .await?)
    })
    .await?;
    assert_eq!(parked, (2, 2, code.to_owned()));
    scene.append("order-2", &["paid"]).await?;
    let mut applied = scene.has_applied(3).await?;
    applied.sort();
    let told = |stream: &str, version| (stream.to_owned(), version);
    assert_eq!(
        applied,
        [told("order-1", 1), told("order-2", 1), told("order-2", 2)]
    );
    running.stop().await
}

#[tokio::test]
async fn a_conflict_that_never_passes_is_a_failed_attempt() -> Result {
    parks_its_stream_and_no_other("40001").await
}

#[tokio::test]
async fn a_shortage_that_never_passes_is_a_failed_attempt() -> Result {
    parks_its_stream_and_no_other("53200").await
}

#[tokio::test]
async fn a_page_that_is_too_much_for_the_server_is_applied_one_by_one() -> Result {
    // GIVEN six streams, and a server that has memory for two events in a transaction
    let scene = Scene::new().await?;
    for stream in 1..=6 {
        scene.append(&format!("order-{stream}"), &["placed"]).await?;
    }
    let narrow = Recorder::and(|transaction, _| {
        Box::pin(async move {
            let calls: i64 = sqlx::query_scalar(
                "select set_config('test.calls', (coalesce(nullif(current_setting('test.calls', true), ''), '0')::bigint + 1)::text, true)::bigint",
            )
            .fetch_one(&mut *transaction)
            .await?;
            if calls > 2 {
                refuse(transaction, "53200").await?;
            }
            Ok(())
        })
    });
    let once = quick("all").retry(Retry {
        attempts: 1,
        ..Retry::default()
    });
    let running = scene.start(once, narrow);
    // THEN all are applied, and none waits for a person
    assert_eq!(scene.has_applied(6).await?.len(), 6);
    assert_eq!(scene.count("select count(*) from outbox.parked_stream").await?, 0);
    running.stop().await
}

#[tokio::test]
async fn who_is_in_conflict_lets_others_that_are_due_come_first() -> Result {
    // GIVEN two streams that wait for their next attempt, the one that has waited longest is in conflict each time
    let scene = Scene::new().await?;
    scene.append("order-1", &["first"]).await?;
    scene.append("order-2", &["second"]).await?;
    let once = quick("all").retry(Retry {
        attempts: 1,
        ..Retry::default()
    });
    let failing = Recorder::and(|_, _| Box::pin(async { Err("no".into()) }));
    let running = scene.start(once, failing);
    until("both wait", PATIENCE, async || {
        let waiting = scene
            .count("select count(*) from outbox.parked_stream where state = 'parked'")
            .await?;
        Ok((waiting == 2).then_some(()))
    })
    .await?;
    running.stop().await?;
    scene
        .administer(
            "update outbox.parked_stream p set state = 'retrying', \
                 retry_at = now() - case s.name when 'order-1' then interval '2 hours' else interval '1 hour' end \
             from outbox.stream s where s.id = p.stream",
        )
        .await?;
    // WHEN they are tried THEN the other one comes after one attempt at the first
    let (conflicts, before) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let handler = {
        let (conflicts, before) = (Arc::clone(&conflicts), Arc::clone(&before));
        Recorder::and(move |transaction, event| {
            let is_first = event.event.r#type == "first";
            if is_first {
                conflicts.fetch_add(1, Ordering::SeqCst);
            } else {
                before.store(conflicts.load(Ordering::SeqCst), Ordering::SeqCst);
            }
            Box::pin(async move {
                if is_first {
                    refuse(transaction, "40001").await?;
                }
                Ok(())
            })
        })
    };
    let running = scene.start(quick("all"), handler);
    assert_eq!(scene.has_applied(1).await?, [("order-2".to_owned(), 1)]);
    assert_eq!(before.load(Ordering::SeqCst), 1);
    running.stop().await
}

#[tokio::test]
async fn a_handler_may_take_longer_than_the_lease() -> Result {
    // GIVEN a handler that waits for something elsewhere, for longer than the lease (2 s) and within its limit
    let scene = Scene::new().await?;
    let (calls, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let handler = {
        let (calls, gate) = (Arc::clone(&calls), Arc::clone(&gate));
        Recorder::and(move |_, _| {
            calls.fetch_add(1, Ordering::SeqCst);
            let gate = Arc::clone(&gate);
            Box::pin(async move {
                gate.acquire().await?.forget();
                Ok(())
            })
        })
    };
    scene.append("order-1", &["placed"]).await?;
    let running = scene.start(quick("all").handler_limit(Duration::from_secs(100)), handler);
    until("its transaction is idle for longer", PATIENCE, async || {
        let idle = scene
            .count(
                "select count(*) from pg_stat_activity where datname = current_database() \
                 and state = 'idle in transaction' and state_change < clock_timestamp() - interval '3 seconds'",
            )
            .await?;
        Ok((idle == 1).then_some(()))
    })
    .await?;
    // WHEN it gets what it waits for THEN its effect is committed, and it was called once
    gate.add_permits(1);
    scene.has_applied(1).await?;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    running.stop().await
}
