//! Reading one's own writes, and pausing.

use std::time::Duration;

use outbox_core::event_store::subscription::{WaitFor, Waited, wait_for};
use sqlx::Executor as _;
use system_tests::Result;
use system_tests::login::Login;

use super::scene::{PATIENCE, Recorder, Scene, append, quick};

const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_writer_waits_until_its_transaction_is_applied_and_time_may_run_out() -> Result {
    // GIVEN a subscription that a person paused
    let scene = Scene::new().await?;
    scene.append("order-1", &["placed"]).await?;
    let running = scene.start(quick("all").partitions(3), Recorder::plain());
    scene.has_applied(1).await?;
    let mut person = scene
        .world
        .log()
        .pool_of(Login::Operator)
        .await?
        .acquire()
        .await?;
    person
        .execute("select outbox.pause_subscription('all', 'a look at the handler')")
        .await?;
    // WHEN a transaction appends, and waits THEN the time runs out, before its commit and after it
    let mut transaction = scene.pool.begin().await?;
    append(&mut transaction, "order-1", &["paid"]).await?;
    append(&mut transaction, "order-2", &["placed"]).await?;
    let id: String = sqlx::query_scalar("select pg_current_xact_id()::text")
        .fetch_one(&mut *transaction)
        .await?;
    let mine = WaitFor::transaction(id.parse()?);
    assert_eq!(
        wait_for(&scene.pool, "all", &mine, SHORT).await?,
        Waited::TimedOut
    );
    transaction.commit().await?;
    assert_eq!(
        wait_for(&scene.pool, "all", &mine, SHORT).await?,
        Waited::TimedOut
    );
    assert_eq!(scene.applied().await?.len(), 1);
    // WHEN it goes on THEN what was written can be read
    person
        .execute("select outbox.resume_subscription('all', 'done')")
        .await?;
    assert_eq!(
        wait_for(&scene.pool, "all", &mine, PATIENCE).await?,
        Waited::Applied
    );
    assert_eq!(scene.applied().await?.len(), 3);
    let positions: Vec<i64> = sqlx::query_scalar("select position from outbox.stored_event")
        .fetch_all(&scene.pool)
        .await?;
    let all = WaitFor::positions(positions);
    assert_eq!(
        wait_for(&scene.pool, "all", &all, PATIENCE).await?,
        Waited::Applied
    );
    assert!(wait_for(&scene.pool, "nobody", &all, SHORT).await.is_err());
    running.stop().await
}

#[tokio::test]
async fn who_waits_for_a_parked_event_is_told() -> Result {
    let scene = Scene::new().await?;
    let failing = Recorder::and(|_, _| Box::pin(async { Err("no".into()) }));
    let running = scene.start(quick("all"), failing);
    scene.append("order-1", &["placed", "paid"]).await?;
    let second: i64 = sqlx::query_scalar("select max(position) from outbox.stored_event")
        .fetch_one(&scene.pool)
        .await?;
    let waited = wait_for(&scene.pool, "all", &WaitFor::positions([second]), PATIENCE).await?;
    assert_eq!(waited, Waited::Parked);
    running.stop().await
}
