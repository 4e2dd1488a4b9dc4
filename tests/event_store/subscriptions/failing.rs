//! Handlers that fail, panic, or break the commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use outbox_core::event_store::subscription::Retry;
use sqlx::Executor as _;
use system_tests::Result;
use system_tests::login::Login;
use system_tests::patience::until;

use super::scene::{PATIENCE, Recorder, Scene, quick};

/// Fails at events of type `bad` as long as the switch is on.
fn failing(how: fn() -> Result, switch: &Arc<AtomicBool>) -> Recorder {
    let switch = Arc::clone(switch);
    Recorder::and(move |_, event| {
        let is_bad = event.event.r#type == "bad" && switch.load(Ordering::SeqCst);
        Box::pin(async move {
            if is_bad {
                how().map_err(|failure| failure.to_string())?;
            }
            Ok(())
        })
    })
}

async fn is_parked(scene: &Scene, stream: &str) -> Result<(i64, i32, String)> {
    let mut connection = scene.world.connect().await?;
    until("the stream is parked", PATIENCE, async || {
        Ok(sqlx::query_as(
            "select version, attempts, error_class from outbox_ops.parked_streams where stream = $1 and state = 'parked'",
        )
        .bind(stream)
        .fetch_optional(&mut connection)
        .await?)
    })
    .await
}

async fn a_stream_waits_and_others_go_on(how: fn() -> Result, class: &str) -> Result {
    // GIVEN a handler that cannot take one event
    let scene = Scene::new().await?;
    let switch = Arc::new(AtomicBool::new(true));
    scene.append("order-1", &["placed", "bad", "paid"]).await?;
    scene.append("order-2", &["placed"]).await?;
    let running = scene.start(quick("all"), failing(how, &switch));
    // WHEN it was tried as often as it may be THEN its stream waits at it, and others do not
    assert_eq!(is_parked(&scene, "order-1").await?, (2, 2, class.to_owned()));
    scene.append("order-1", &["shipped"]).await?;
    scene.append("order-2", &["paid"]).await?;
    let applied = scene.has_applied(3).await?;
    assert_eq!(
        applied.iter().filter(|(stream, _)| stream == "order-2").count(),
        2
    );
    assert_eq!(
        applied.iter().filter(|(stream, _)| stream == "order-1").count(),
        1
    );
    // WHEN a person has it tried again, and it can be taken THEN all of the stream comes, in order
    switch.store(false, Ordering::SeqCst);
    let mut person = scene
        .world
        .log()
        .pool_of(Login::Operator)
        .await?
        .acquire()
        .await?;
    person
        .execute("select outbox.retry_parked_streams('all', 'order-1', 'the handler was mended')")
        .await?;
    scene.has_applied(6).await?;
    scene.append("order-1", &["closed"]).await?;
    let applied = scene.has_applied(7).await?;
    let versions: Vec<i64> = applied
        .iter()
        .filter(|(stream, _)| stream == "order-1")
        .map(|(_, version)| *version)
        .collect();
    assert_eq!(versions, [1, 2, 3, 4, 5]);
    let audited = scene
        .count("select count(*) from outbox.subscription_action where action = 'retry' and stream = 'order-1' and version = 2")
        .await?;
    assert_eq!(audited, 1);
    running.stop().await
}

#[tokio::test]
async fn an_event_that_fails_parks_its_stream_and_no_other() -> Result {
    a_stream_waits_and_others_go_on(|| Err(system_tests::Failure::new("no")), "handler").await
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt() -> Result {
    a_stream_waits_and_others_go_on(|| panic!("boom"), "panic").await
}

#[tokio::test]
async fn what_fails_at_the_commit_leaves_neither_effect_nor_checkpoint() -> Result {
    // GIVEN a constraint that is looked at when a transaction commits, which one event breaks
    let scene = Scene::new().await?;
    scene
        .administer(
            "create table public.once (type text unique deferrable initially deferred); \
             insert into public.once values ('bad')",
        )
        .await?;
    let handler = Recorder::and(|transaction, event| {
        Box::pin(async move {
            if event.event.r#type == "bad" {
                transaction
                    .execute("insert into public.once values ('bad')")
                    .await?;
            }
            Ok(())
        })
    });
    scene.append("order-1", &["placed", "bad", "paid"]).await?;
    scene.append("order-2", &["placed", "paid"]).await?;
    let running = scene.start(quick("all"), handler);
    // THEN it alone is without effect, and what is behind it in its stream
    assert_eq!(is_parked(&scene, "order-1").await?, (2, 2, "23505".to_owned()));
    let mut applied = scene.has_applied(3).await?;
    applied.sort();
    let told = |stream: &str, version| (stream.to_owned(), version);
    assert_eq!(
        applied,
        [told("order-1", 1), told("order-2", 1), told("order-2", 2)]
    );
    // WHEN a person passes over it THEN the rest of its stream comes
    let mut person = scene
        .world
        .log()
        .pool_of(Login::Operator)
        .await?
        .acquire()
        .await?;
    let wrong = person
        .execute("select outbox.skip_parked_event('all', 'order-1', 3, 'not this one')")
        .await;
    assert!(wrong.is_err(), "another version was named");
    person
        .execute("select outbox.skip_parked_event('all', 'order-1', 2, 'a duplicate')")
        .await?;
    assert_eq!(scene.has_applied(4).await?[3], told("order-1", 3));
    running.stop().await
}

#[tokio::test]
async fn a_partition_with_more_panicking_streams_than_may_wait_goes_on_when_they_are_mended() -> Result {
    // GIVEN six streams that begin with an event that panics, of which three may wait
    let scene = Scene::new().await?;
    let switch = Arc::new(AtomicBool::new(true));
    for stream in 1..=6 {
        scene.append(&format!("order-{stream}"), &["bad", "paid"]).await?;
    }
    scene.append("order-7", &["placed"]).await?;
    let subscription = quick("all").retrying_max(3).retry(Retry {
        attempts: 1_000,
        pause_min: Duration::from_millis(20),
        pause_max: Duration::from_millis(50),
    });
    let running = scene.start(subscription, failing(|| panic!("boom"), &switch));
    let mut connection = scene.world.connect().await?;
    let tried = "select count(*) from outbox.parked_stream where state = 'retrying' and attempts >= 3";
    until("three are tried again and again", PATIENCE, async || {
        let waiting: i64 = sqlx::query_scalar(tried).fetch_one(&mut connection).await?;
        Ok((waiting >= 3).then_some(()))
    })
    .await?;
    // THEN nothing more is begun
    assert_eq!(scene.applied().await?, []);
    let waiting = scene.count("select count(*) from outbox.parked_stream").await?;
    assert_eq!(waiting, 3, "as many as may wait");
    // WHEN the handler is mended THEN every event comes, in order, once
    switch.store(false, Ordering::SeqCst);
    let mut applied = scene.has_applied(13).await?;
    applied.sort();
    let mut wanted: Vec<(String, i64)> = (1..=6)
        .flat_map(|stream| [1, 2].map(|version| (format!("order-{stream}"), version)))
        .collect();
    wanted.push(("order-7".to_owned(), 1));
    assert_eq!(applied, wanted);
    running.stop().await
}

#[tokio::test]
async fn an_event_that_ended_its_transaction_can_be_passed_over() -> Result {
    // GIVEN an event whose handler panics, and a stream that waits for a person
    let scene = Scene::new().await?;
    let switch = Arc::new(AtomicBool::new(true));
    scene.append("order-1", &["bad", "paid"]).await?;
    let running = scene.start(quick("all"), failing(|| panic!("boom"), &switch));
    assert_eq!(is_parked(&scene, "order-1").await?, (1, 2, "panic".to_owned()));
    // THEN the checkpoint is behind both events
    let done = "select count(*) from outbox.subscription_checkpoint where events = 2 and goal is null";
    let mut connection = scene.world.connect().await?;
    until("both events are passed", PATIENCE, async || {
        let passed: i64 = sqlx::query_scalar(done).fetch_one(&mut connection).await?;
        Ok((passed == 1).then_some(()))
    })
    .await?;
    // WHEN a person passes over it THEN it does not come again, although it could be taken now
    switch.store(false, Ordering::SeqCst);
    scene
        .administer("select outbox.skip_parked_event('all', 'order-1', 1, 'not to be had')")
        .await?;
    assert_eq!(scene.has_applied(1).await?, [("order-1".to_owned(), 2)]);
    running.stop().await
}

#[tokio::test]
async fn a_handler_that_ends_the_transaction_and_begins_another_moves_no_checkpoint() -> Result {
    // GIVEN a handler that commits what it did, and the lease with it, and opens a transaction of its own
    let scene = Scene::new().await?;
    let handler = Recorder::and(|transaction, event| {
        Box::pin(async move {
            if event.event.r#type == "bad" {
                transaction.execute("commit").await?;
                transaction.execute("begin").await?;
                transaction.execute("select pg_current_xact_id()").await?;
            }
            Ok(())
        })
    });
    scene.append("order-1", &["bad"]).await?;
    let running = scene.start(quick("all"), handler);
    // THEN the event has failed, and says as what
    let (version, attempts, class) = is_parked(&scene, "order-1").await?;
    assert_eq!((version, attempts), (1, 2));
    assert!(["25P01", "3B001"].contains(&class.as_str()), "{class}");
    running.stop().await
}

/// A handler that has room for two calls in a transaction.
fn narrow() -> Recorder {
    Recorder::and(|transaction, _| {
        Box::pin(async move {
            transaction
                .execute(
                    "do $$ declare calls integer := coalesce(nullif(current_setting('test.calls', true), ''), '0')::integer + 1; \
                     begin \
                         perform set_config('test.calls', calls::text, true); \
                         if calls > 2 then raise exception 'too many' using errcode = 'program_limit_exceeded'; end if; \
                     end $$",
                )
                .await?;
            Ok(())
        })
    })
}

#[tokio::test]
async fn a_limit_of_a_transaction_parks_nobody_who_passes_alone() -> Result {
    // GIVEN twelve streams, a handler that has room for two calls in a transaction, and one attempt for each event
    let scene = Scene::new().await?;
    for stream in 1..=12 {
        scene.append(&format!("order-{stream}"), &["placed"]).await?;
    }
    let once = quick("all").retry(Retry {
        attempts: 1,
        ..Retry::default()
    });
    let running = scene.start(once, narrow());
    // THEN all of them are applied, and none waits for a person
    let applied = scene.has_applied(12).await?;
    assert_eq!(applied.len(), 12);
    let parked = scene.count("select count(*) from outbox.parked_stream").await?;
    assert_eq!(parked, 0);
    running.stop().await
}

#[tokio::test]
async fn a_limit_of_a_statement_and_another_server_are_the_handlers_own() -> Result {
    // GIVEN an event for which the handler asks for more than a statement may have, and some for which another server does not answer, breaks
    // off or is shut down, as this one says without being gone itself
    let scene = Scene::new().await?;
    let handler = Recorder::and(|transaction, event| {
        let code = match event.event.r#type.as_str() {
            "large" => "53400",
            "remote" => "08001",
            "broken" => "08006",
            "ended" => "57P01",
            _ => return Box::pin(async { Ok(()) }),
        };
        Box::pin(async move {
            sqlx::query("select set_config('test.code', $1, true)")
                .bind(code)
                .execute(&mut *transaction)
                .await?;
            transaction
                .execute(
                    "do $$ begin raise exception 'no' using errcode = current_setting('test.code'); end $$",
                )
                .await?;
            Ok(())
        })
    });
    scene.append("order-1", &["large"]).await?;
    scene.append("order-2", &["remote"]).await?;
    scene.append("order-3", &["placed"]).await?;
    scene.append("order-4", &["broken"]).await?;
    scene.append("order-5", &["ended"]).await?;
    let running = scene.start(quick("all"), handler);
    // THEN their streams wait, and the other one goes on
    assert_eq!(is_parked(&scene, "order-1").await?, (1, 2, "53400".to_owned()));
    assert_eq!(is_parked(&scene, "order-2").await?, (1, 2, "08001".to_owned()));
    assert_eq!(is_parked(&scene, "order-4").await?, (1, 2, "08006".to_owned()));
    assert_eq!(is_parked(&scene, "order-5").await?, (1, 2, "57P01".to_owned()));
    assert_eq!(scene.has_applied(1).await?, [("order-3".to_owned(), 1)]);
    running.stop().await
}
