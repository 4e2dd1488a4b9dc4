//! Who applies: takeovers, processes that were stopped, several that share.

use std::sync::Arc;
use std::time::Duration;

use outbox_core::event_store::subscription::{WaitFor, Waited, wait_for};
use sqlx::Executor as _;
use system_tests::Result;
use system_tests::patience::until;
use tokio::sync::Semaphore;

use super::scene::{PATIENCE, Recorder, Scene, quick};

#[tokio::test]
async fn who_lost_the_lease_commits_nothing() -> Result {
    // GIVEN a process that applies, and looks at its lease seldom
    let scene = Scene::new().await?;
    scene.append("order-1", &["placed"]).await?;
    let running = scene.start(quick("all").lease(Duration::from_secs(120)), Recorder::plain());
    scene.has_applied(1).await?;
    // WHEN another one takes the partition over, and an event comes in the same moment
    scene
        .administer(
            "begin; \
             update outbox.subscription_lease set epoch = epoch + 1, holder = 'another', expires_at = clock_timestamp() + interval '100 seconds'; \
             select outbox.append_to_stream('order-1', 1, '[{\"type\": \"paid\"}]'); \
             commit",
        )
        .await?;
    // THEN the first one does not apply it
    let transaction = WaitFor::positions([2]);
    let waited = wait_for(&scene.pool, "all", &transaction, Duration::from_secs(2)).await?;
    assert_eq!(waited, Waited::TimedOut);
    assert_eq!(scene.applied().await?.len(), 1);
    // WHEN the other one is gone THEN it takes the partition back, and goes on
    scene
        .administer("update outbox.subscription_lease set holder = null, expires_at = '-infinity'")
        .await?;
    assert_eq!(scene.has_applied(2).await?[1], ("order-1".to_owned(), 2));
    running.stop().await
}

/// The lease keeps others out. A transaction of this very process may be committing still when its answer was lost.
#[tokio::test]
async fn what_is_being_committed_by_the_same_process_is_not_applied_again() -> Result {
    // GIVEN a process that applied one event, and a transaction with its lease that is at the next one
    let scene = Scene::new().await?;
    scene.append("order-1", &["placed"]).await?;
    let running = scene.start(quick("all").lease(Duration::from_secs(120)), Recorder::plain());
    scene.has_applied(1).await?;
    let mut unanswered = scene.world.connect().await?;
    unanswered
        .execute(
            "begin; \
             select from outbox.subscription_lease l for key share; \
             select from outbox.subscription_checkpoint c for no key update",
        )
        .await?;
    scene.append("order-1", &["paid"]).await?;
    unanswered
        .execute(
            "insert into public.applied (stream, version, type) values ('order-1', 2, 'paid'); \
             update outbox.subscription_checkpoint \
             set done = pg_current_snapshot(), done_floor = (select last_value from outbox.log_position), \
                 done_through = (select last_value from outbox.log_position), goal = null, goal_floor = null, goal_through = null, \
                 after_position = 0, events = events + 1",
        )
        .await?;
    // WHEN the process comes to that event meanwhile
    let mut looks = scene.world.connect().await?;
    until("it waits", PATIENCE, async || {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        )
        .fetch_one(&mut looks)
        .await?;
        Ok((waiting > 0).then_some(()))
    })
    .await?;
    unanswered.execute("commit").await?;
    // THEN it goes on behind it
    scene.append("order-1", &["sent"]).await?;
    let applied = scene.has_applied(3).await?;
    let versions: Vec<i64> = applied.iter().map(|(_, version)| *version).collect();
    assert_eq!(versions, [1, 2, 3]);
    running.stop().await
}

#[tokio::test]
async fn a_takeover_waits_for_what_is_being_committed() -> Result {
    // GIVEN a process in the middle of a transaction, whose lease is over
    let scene = Scene::new().await?;
    scene.append("order-1", &["placed"]).await?;
    let (entered, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let held = {
        let (entered, gate) = (Arc::clone(&entered), Arc::clone(&gate));
        Recorder::and(move |_, _| {
            let (entered, gate) = (Arc::clone(&entered), Arc::clone(&gate));
            Box::pin(async move {
                entered.add_permits(1);
                gate.acquire().await?.forget();
                Ok(())
            })
        })
    };
    let first = scene.start(quick("all").lease(Duration::from_secs(30)), held);
    entered.acquire().await?.forget();
    scene
        .administer("update outbox.subscription_lease set expires_at = '-infinity', holder = 'stopped'")
        .await
        .expect_err("an epoch belongs to one holder");
    scene
        .administer("update outbox.subscription_lease set expires_at = '-infinity'")
        .await?;
    // WHEN another one wants the partition THEN it does not get it before that transaction ended
    let second = scene.start(quick("all").lease(Duration::from_secs(30)), Recorder::plain());
    until("the second looks", PATIENCE, async || {
        Ok((scene
            .count("select count(*) from outbox.subscription_member")
            .await?
            == 2)
            .then_some(()))
    })
    .await?;
    assert_eq!(
        scene
            .count("select max(epoch) from outbox.subscription_lease")
            .await?,
        1
    );
    gate.add_permits(100);
    scene.has_applied(1).await?;
    scene.append("order-1", &["paid"]).await?;
    assert_eq!(scene.has_applied(2).await?.len(), 2);
    first.stop().await?;
    second.stop().await
}

#[tokio::test]
async fn processes_share_the_partitions_and_inherit_from_the_dead() -> Result {
    // GIVEN two processes and four partitions
    let scene = Scene::new().await?;
    let shared = || quick("all").partitions(4);
    let (one, two) = (
        scene.start(shared(), Recorder::plain()),
        scene.start(shared(), Recorder::plain()),
    );
    let holders =
        "select count(distinct holder) from outbox.subscription_lease where expires_at > clock_timestamp()";
    let held = "select count(*) from outbox.subscription_lease where expires_at > clock_timestamp()";
    until("both hold some", PATIENCE, async || {
        Ok((scene.count(holders).await? == 2 && scene.count(held).await? == 4).then_some(()))
    })
    .await?;
    for n in 0..8 {
        scene.append(&format!("order-{n}"), &["placed", "paid"]).await?;
    }
    scene.has_applied(16).await?;
    // WHEN one is killed THEN the other one has all of them after a while
    one.kill();
    until("the other one holds all", PATIENCE, async || {
        Ok((scene.count(holders).await? == 1 && scene.count(held).await? == 4).then_some(()))
    })
    .await?;
    for n in 0..8 {
        scene.append(&format!("order-{n}"), &["shipped"]).await?;
    }
    assert_eq!(scene.has_applied(24).await?.len(), 24);
    two.stop().await?;
    assert_eq!(scene.count(held).await?, 0, "given back");
    Ok(())
}
