//! Building anew beside the live one, and what is in the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use outbox_core::event_store::StoredEvent;
use outbox_core::event_store::projection::{Projection, ProjectionRunner};
use outbox_core::event_store::subscription::{BoxFuture, HandlerResult};
use sqlx::PgConnection;
use system_tests::Result;
use system_tests::patience::until;
use tokio::sync::Semaphore;

use super::orders::{Totals, asynchronous, becomes_right, is_right, operate, order, rebuild_is, scene};
use crate::subscriptions::scene::{PATIENCE, Scene};

async fn append_some(scene: &Scene, streams: u32) -> Result {
    for n in 0..streams {
        scene.append(&format!("order-{n}"), &["placed", "paid"]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_was_built_anew_takes_the_place_of_the_live_one_while_events_come() -> Result {
    // GIVEN a projection at work, in two processes
    let scene = scene().await?;
    append_some(&scene, 10).await?;
    let (one, two) = (
        asynchronous(&scene.pool, Totals::default()),
        asynchronous(
            &scene
                .world
                .log()
                .pool_of(system_tests::login::Login::Service)
                .await?,
            Totals::default(),
        ),
    );
    becomes_right(&scene).await?;
    // WHEN it is ordered anew, and events go on coming
    order(&scene).await?;
    let appending = async {
        for _ in 0..5 {
            append_some(&scene, 10).await?;
        }
        Ok::<_, system_tests::Failure>(())
    };
    let (appended, said) = tokio::join!(appending, rebuild_is(&scene, "switched"));
    appended?;
    // THEN both were the same, the new one is live, goes on, and nothing is left of the other
    assert!(said?.contains("same rows"));
    append_some(&scene, 3).await?;
    becomes_right(&scene).await?;
    assert_eq!(
        scene
            .count("select generation::bigint from outbox.projection")
            .await?,
        2
    );
    assert_eq!(
        scene
            .count("select count(*) from outbox.subscription where generation <> 2")
            .await?,
        0
    );
    let left = scene
        .count("select count(*) from pg_namespace where nspname in ('order_totals_next', 'order_totals_old')")
        .await?;
    assert_eq!(left, 0);
    one.stop().await?;
    append_some(&scene, 3).await?;
    becomes_right(&scene).await?;
    two.stop().await
}

#[tokio::test]
async fn what_differs_is_held_and_named_until_a_person_wants_it() -> Result {
    // GIVEN a live table that somebody changed
    let scene = scene().await?;
    append_some(&scene, 5).await?;
    let running = asynchronous(&scene.pool, Totals::default());
    becomes_right(&scene).await?;
    scene
        .administer("update order_totals.totals set events = 99 where type = 'paid'")
        .await?;
    // WHEN it is built anew THEN it stays, and the table is named
    order(&scene).await?;
    let said = rebuild_is(&scene, "held").await?;
    assert!(
        said.contains("totals has as many rows") && !said.contains("stands"),
        "{said}"
    );
    assert!(!is_right(&scene).await?);
    // WHEN a person wants the difference THEN it is live
    operate(
        &scene,
        "select outbox.release_rebuild('order_totals', 'somebody changed it', true)",
    )
    .await?;
    let said = rebuild_is(&scene, "switched").await?;
    assert!(said.starts_with("accepted"), "{said}");
    becomes_right(&scene).await?;
    running.stop().await
}

#[tokio::test]
async fn what_others_depend_on_is_not_dropped() -> Result {
    let scene = scene().await?;
    append_some(&scene, 2).await?;
    let running = asynchronous(&scene.pool, Totals::default());
    becomes_right(&scene).await?;
    scene
        .administer("create view public.paid as select events from order_totals.totals")
        .await?;
    order(&scene).await?;
    let said = rebuild_is(&scene, "held").await?;
    assert!(said.contains("paid depends"), "{said}");
    assert_eq!(
        scene
            .count("select count(*) from pg_views where viewname = 'paid'")
            .await?,
        1
    );
    scene.administer("drop view public.paid").await?;
    operate(
        &scene,
        "select outbox.release_rebuild('order_totals', 'the view is gone')",
    )
    .await?;
    rebuild_is(&scene, "switched").await?;
    running.stop().await
}

#[tokio::test]
async fn a_rebuild_that_was_killed_half_way_goes_on_where_it_was() -> Result {
    // GIVEN a rebuild that comes to a stop half way, each page committed
    let scene = scene().await?;
    append_some(&scene, 20).await?;
    let running = asynchronous(&scene.pool, Totals::default());
    becomes_right(&scene).await?;
    running.stop().await?;
    order(&scene).await?;
    let gate = Arc::new(Semaphore::new(0));
    let gated = Totals {
        gate: Some(Arc::clone(&gate)),
    };
    let paged = super::orders::quick().limits(outbox_core::event_store::PageLimits {
        events_max: 4,
        ..Default::default()
    });
    let start = || {
        super::orders::Running::of(
            outbox_core::event_store::projection::ProjectionRunner::asynchronous(
                scene.pool.clone(),
                paged.clone(),
                gated.clone(),
            ),
        )
    };
    let done =
        "select coalesce(sum(events), 0)::bigint from outbox.subscription_checkpoint where generation = 2";
    let running = start();
    gate.add_permits(14);
    let half = until("some pages are committed", PATIENCE, async || {
        let events = scene.count(done).await?;
        Ok((events >= 8).then_some(events))
    })
    .await?;
    assert!(half < 40, "{half}");
    // WHEN the process is killed and another one begins THEN it applies what is left and nothing again
    running.kill().await;
    let half = scene.count(done).await?;
    let running = start();
    gate.add_permits(10_000);
    rebuild_is(&scene, "switched").await?;
    assert!(is_right(&scene).await?);
    assert_eq!(scene.count(done).await?, 40, "{half} before, and the rest");
    running.stop().await
}

#[tokio::test]
async fn a_rebuild_is_paused_and_cancelled_and_leaves_nothing() -> Result {
    let scene = scene().await?;
    append_some(&scene, 5).await?;
    let running = asynchronous(&scene.pool, Totals::default());
    becomes_right(&scene).await?;
    // GIVEN a rebuild that cannot be finished
    scene
        .administer("update order_totals.totals set events = 99 where type = 'paid'")
        .await?;
    order(&scene).await?;
    rebuild_is(&scene, "held").await?;
    operate(
        &scene,
        "select outbox.pause_subscription('order_totals', 'a look', 2)",
    )
    .await?;
    append_some(&scene, 1).await?;
    until("the live one goes on", PATIENCE, async || {
        Ok((scene
            .count("select version from order_totals.stands where stream = 'order-0'")
            .await?
            == 4)
            .then_some(()))
    })
    .await?;
    assert_eq!(
        scene
            .count("select version from order_totals_next.stands where stream = 'order-0'")
            .await?,
        2
    );
    // WHEN it is cancelled THEN nothing of it is left, and the live one is as it was
    operate(&scene, "select outbox.cancel_rebuild('order_totals', 'not now')").await?;
    until("its schema is gone", PATIENCE, async || {
        let left = scene
            .count("select count(*) from pg_namespace where nspname = 'order_totals_next'")
            .await?
            + scene
                .count("select count(*) from outbox.subscription where generation = 2")
                .await?;
        Ok((left == 0).then_some(()))
    })
    .await?;
    // AND the next one is another generation
    scene
        .administer("update order_totals.totals set events = 6 where type = 'paid'")
        .await?;
    order(&scene).await?;
    rebuild_is(&scene, "switched").await?;
    assert_eq!(
        scene
            .count("select generation::bigint from outbox.projection")
            .await?,
        3
    );
    becomes_right(&scene).await?;
    running.stop().await
}

/// Its tables cannot be made as long as the switch is on.
struct Unmakable {
    is_on: Arc<AtomicBool>,
}

impl Projection for Unmakable {
    fn create(&self) -> Vec<String> {
        let mut statements = Totals::default().create();
        if self.is_on.load(Ordering::SeqCst) {
            statements.push("create table totals (type text)".to_owned());
        }
        statements
    }

    fn apply<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        event: &'a StoredEvent,
    ) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move { Totals::default().apply(transaction, event).await })
    }
}

#[tokio::test]
async fn a_rebuild_whose_tables_cannot_be_made_is_held_and_the_live_one_goes_on() -> Result {
    // GIVEN a projection at work, whose next tables cannot be made
    let scene = scene().await?;
    append_some(&scene, 2).await?;
    let is_on = Arc::new(AtomicBool::new(false));
    let running = super::orders::Running::of(ProjectionRunner::asynchronous(
        scene.pool.clone(),
        super::orders::quick(),
        Unmakable {
            is_on: Arc::clone(&is_on),
        },
    ));
    becomes_right(&scene).await?;
    is_on.store(true, Ordering::SeqCst);
    // WHEN it is ordered anew THEN that is held, says why, and the live one goes on
    order(&scene).await?;
    let said = rebuild_is(&scene, "held").await?;
    assert!(
        said.contains("42P07") || said.contains("already exists"),
        "{said}"
    );
    append_some(&scene, 3).await?;
    becomes_right(&scene).await?;
    // WHEN it is mended, and released THEN it is built and live
    is_on.store(false, Ordering::SeqCst);
    operate(
        &scene,
        "select outbox.release_rebuild('order_totals', 'the statement was mended')",
    )
    .await?;
    rebuild_is(&scene, "switched").await?;
    append_some(&scene, 1).await?;
    becomes_right(&scene).await?;
    running.stop().await
}

#[tokio::test]
async fn a_schema_that_is_somebody_elses_is_neither_filled_nor_dropped() -> Result {
    // GIVEN a projection at work, and a schema of another one's where it would be built anew
    let scene = scene().await?;
    append_some(&scene, 2).await?;
    let running = asynchronous(&scene.pool, Totals::default());
    becomes_right(&scene).await?;
    scene
        .administer(
            "create schema order_totals_next; create table order_totals_next.totals (type text primary key, events bigint not null); \
             create table order_totals_next.stands (stream text primary key, version bigint not null); \
             grant usage on schema order_totals_next to public; grant all on all tables in schema order_totals_next to public",
        )
        .await?;
    // WHEN it is ordered anew THEN that is held, nothing is written there, and the live one goes on
    order(&scene).await?;
    let said = rebuild_is(&scene, "held").await?;
    assert!(said.contains("not its own"), "{said}");
    append_some(&scene, 2).await?;
    becomes_right(&scene).await?;
    // WHEN it is released as it is THEN it is held again; WHEN it is cancelled THEN the schema stays
    operate(&scene, "select outbox.release_rebuild('order_totals', 'try it')").await?;
    rebuild_is(&scene, "held").await?;
    operate(
        &scene,
        "select outbox.cancel_rebuild('order_totals', 'not there')",
    )
    .await?;
    append_some(&scene, 2).await?;
    becomes_right(&scene).await?;
    assert_eq!(
        scene
            .count("select count(*) from order_totals_next.totals")
            .await?,
        0
    );
    // WHEN it has another name THEN the next rebuild is built and live
    scene
        .administer("alter schema order_totals_next rename to somebodys")
        .await?;
    order(&scene).await?;
    rebuild_is(&scene, "switched").await?;
    assert_eq!(scene.count("select count(*) from somebodys.totals").await?, 0);
    running.stop().await
}

#[tokio::test]
async fn a_schema_of_its_name_that_it_did_not_make_is_refused() -> Result {
    let scene = scene().await?;
    scene.administer("create schema order_totals").await?;
    let runner =
        ProjectionRunner::asynchronous(scene.pool.clone(), super::orders::quick(), Totals::default());
    let refused = runner.run(tokio_util::sync::CancellationToken::new()).await;
    let said = refused.expect_err("it is not its own").to_string();
    assert!(said.contains("was not made for it"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_rebuild_beside_a_live_one_that_is_paused_says_so() -> Result {
    let scene = scene().await?;
    append_some(&scene, 2).await?;
    let running = asynchronous(&scene.pool, Totals::default());
    becomes_right(&scene).await?;
    operate(
        &scene,
        "select outbox.pause_subscription('order_totals', 'it is wrong', 1)",
    )
    .await?;
    order(&scene).await?;
    let said = rebuild_is(&scene, "held").await?;
    assert!(said.contains("paused"), "{said}");
    operate(
        &scene,
        "select outbox.resume_subscription('order_totals', 'mended', 1)",
    )
    .await?;
    operate(&scene, "select outbox.release_rebuild('order_totals', 'mended')").await?;
    rebuild_is(&scene, "switched").await?;
    running.stop().await
}
