//! What is in the way of putting a rebuild in the place of the live one, and what a person sees of it.

use outbox_core::event_store::subscription;
use sqlx::{Connection as _, Executor as _};
use system_tests::Result;
use system_tests::patience::until;

use super::orders::{Totals, asynchronous, becomes_right, is_right, operate, order, rebuild_is, scene};
use crate::subscriptions::scene::{PATIENCE, Recorder, Scene};

/// More than a switch applies by itself.
const MANY: u32 = 600;

async fn append_some(scene: &Scene, streams: u32) -> Result {
    let mut transaction = scene.pool.begin().await?;
    for n in 0..streams {
        crate::subscriptions::scene::append(&mut transaction, &format!("order-{n}"), &["placed"]).await?;
    }
    Ok(transaction.commit().await?)
}

/// Waits until this is said of a rebuild that is being built.
async fn says(scene: &Scene, what: &str) -> Result<String> {
    until(&format!("it says {what}"), PATIENCE, async || {
        let said: Option<String> = sqlx::query_scalar(
            "select rebuild_said from outbox_ops.projections where rebuild_state = 'building'",
        )
        .fetch_optional(&mut scene.world.connect().await?)
        .await?
        .flatten();
        Ok(said.filter(|said| said.contains(what)))
    })
    .await
}

/// Waits until the switch waits for the leases of a generation, which it does for two seconds at most, and ends the session that has them.
async fn lose_leases_to_the_switch(scene: &Scene) -> Result {
    until("the switch wants the leases", PATIENCE, async || {
        let ended: i64 = sqlx::query_scalar(
            "select count(pg_terminate_backend(holding))
             from pg_stat_activity s, unnest(pg_blocking_pids(s.pid)) holding
             where s.datname = current_database() and s.query like '-- Takes all partitions of a generation%'
               and clock_timestamp() - s.query_start < interval '1 s'",
        )
        .fetch_one(&mut scene.world.connect().await?)
        .await?;
        Ok((ended > 0).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_live_one_that_is_far_behind_is_waited_for_and_that_is_said() -> Result {
    // GIVEN a live one that does not come on, with many events before it
    let scene = scene().await?;
    append_some(&scene, 2).await?;
    let running = asynchronous(&scene.pool, Totals::default());
    becomes_right(&scene).await?;
    let mut holder = scene.world.connect().await?;
    let mut held = holder.begin().await?;
    held.execute("select from outbox.subscription_checkpoint where generation = 1 for update")
        .await?;
    append_some(&scene, 2 * MANY).await?;
    // WHEN it is built anew, and that has caught up THEN it says what it waits for
    order(&scene).await?;
    says(&scene, "the live one has many events before it").await?;
    // WHEN the live one comes on THEN both are compared, and the new one is live
    held.rollback().await?;
    assert!(rebuild_is(&scene, "switched").await?.contains("same rows"));
    becomes_right(&scene).await?;
    running.stop().await
}

#[tokio::test]
async fn a_live_one_that_is_far_behind_is_left_behind_where_a_person_wants_that() -> Result {
    // GIVEN a live one that does not come on, and a rebuild that waits for it
    let scene = scene().await?;
    append_some(&scene, 2).await?;
    let running = asynchronous(&scene.pool, Totals::default());
    becomes_right(&scene).await?;
    let mut holder = scene.world.connect().await?;
    let mut held = holder.begin().await?;
    held.execute("select from outbox.subscription_checkpoint where generation = 1 for update")
        .await?;
    append_some(&scene, 2 * MANY).await?;
    order(&scene).await?;
    says(&scene, "the live one has many events before it").await?;
    // WHEN it is released as it waits THEN that is refused, unless differences are accepted
    let plain = operate(&scene, "select outbox.release_rebuild('order_totals', 'go on')").await;
    assert!(plain.is_err(), "it is not held");
    operate(
        &scene,
        "select outbox.release_rebuild('order_totals', 'it will never come on', true)",
    )
    .await?;
    // It has decided by then: the live one loses its leases before it can come on. The switch takes its checkpoint too.
    lose_leases_to_the_switch(&scene).await?;
    held.rollback().await?;
    let said = rebuild_is(&scene, "switched").await?;
    assert!(
        said.contains("not compared, since the live one was far behind"),
        "{said}"
    );
    becomes_right(&scene).await?;
    running.stop().await
}

#[tokio::test]
async fn a_live_one_that_is_paused_is_not_compared_with_what_a_person_wants_in_any_case() -> Result {
    // GIVEN a live one that a person paused because it is wrong, and that knows nothing of what came since
    let scene = scene().await?;
    append_some(&scene, 2).await?;
    let running = asynchronous(&scene.pool, Totals::default());
    becomes_right(&scene).await?;
    operate(
        &scene,
        "select outbox.pause_subscription('order_totals', 'it is wrong', 1)",
    )
    .await?;
    append_some(&scene, 5).await?;
    // WHEN it is built anew THEN that is held; WHEN differences are wanted THEN it is live without the other one
    order(&scene).await?;
    assert!(rebuild_is(&scene, "held").await?.contains("is paused"));
    assert!(!is_right(&scene).await?);
    operate(
        &scene,
        "select outbox.release_rebuild('order_totals', 'it was wrong', true)",
    )
    .await?;
    let said = rebuild_is(&scene, "switched").await?;
    assert!(said.contains("not compared") && said.contains("paused"), "{said}");
    becomes_right(&scene).await?;
    running.stop().await
}

#[tokio::test]
async fn a_schema_that_has_the_name_of_the_old_one_holds_the_switch() -> Result {
    // GIVEN a copy that a person kept
    let scene = scene().await?;
    append_some(&scene, 2).await?;
    let running = asynchronous(&scene.pool, Totals::default());
    becomes_right(&scene).await?;
    scene
        .administer("create schema order_totals_old; create table order_totals_old.kept (n int)")
        .await?;
    // WHEN it is built anew THEN that is held and says so, and the live one goes on
    order(&scene).await?;
    assert!(
        rebuild_is(&scene, "held")
            .await?
            .contains("order_totals_old is there")
    );
    append_some(&scene, 3).await?;
    becomes_right(&scene).await?;
    // WHEN the copy has another name THEN the rebuild is live
    scene
        .administer("alter schema order_totals_old rename to order_totals_copy")
        .await?;
    operate(&scene, "select outbox.release_rebuild('order_totals', 'renamed')").await?;
    rebuild_is(&scene, "switched").await?;
    assert_eq!(
        scene.count("select count(*) from order_totals_copy.kept").await?,
        0
    );
    running.stop().await
}

#[tokio::test]
async fn a_generation_that_was_replaced_does_not_come_back() -> Result {
    // GIVEN a projection that was built anew
    let scene = scene().await?;
    append_some(&scene, 2).await?;
    let running = asynchronous(&scene.pool, Totals::default());
    becomes_right(&scene).await?;
    order(&scene).await?;
    rebuild_is(&scene, "switched").await?;
    // WHEN a process that has not heard of it begins with the generation of before THEN it is told, and nothing is left of it
    let late = scene.start(super::orders::quick(), Recorder::plain());
    let ended = late.ended().await?;
    assert!(matches!(ended, subscription::Error::Gone { .. }), "{ended}");
    let of_before = scene
        .count("select count(*) from outbox.subscription where generation = 1")
        .await?;
    assert_eq!(of_before, 0);
    // AND the live one goes on
    append_some(&scene, 2).await?;
    becomes_right(&scene).await?;
    running.stop().await
}
