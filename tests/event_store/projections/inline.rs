//! Projections that are applied in the transaction that appends.

use outbox_core::append::NewEvent;
use outbox_core::event_store::projection::{InlineProjections, ProjectionRunner, append_projected};
use outbox_core::event_store::{Expected, StreamName};
use sqlx::PgPool;
use system_tests::Result;
use system_tests::patience::until;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::orders::{Running, Totals, becomes_right, is_right, order, quick, rebuild_is, scene};
use crate::subscriptions::scene::PATIENCE;

async fn place(pool: &PgPool, stream: &str, commits: bool) -> Result {
    let projections = InlineProjections::new().with(quick(), Totals::default());
    let name: StreamName = stream.parse()?;
    let mut transaction = pool.begin().await?;
    let events = vec![NewEvent::stored("placed")];
    let outcome = append_projected(&mut transaction, &projections, &name, Expected::Any, events).await?;
    assert!(matches!(
        outcome,
        outbox_core::event_store::Outcome::Appended { .. }
    ));
    // What was written can be read in the same transaction, and the path is as it was.
    let version: i64 = sqlx::query_scalar("select version from order_totals.stands where stream = $1")
        .bind(stream)
        .fetch_one(&mut *transaction)
        .await?;
    assert!(version > 0);
    let path: String = sqlx::query_scalar("show search_path")
        .fetch_one(&mut *transaction)
        .await?;
    assert!(!path.contains("order_totals"), "{path}");
    if commits {
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(())
}

/// As a version left it that did not say on a schema whose it is.
const UNMARKED: &str =
    "comment on schema order_totals is null; update outbox.projection set created_at = '2000-01-01Z'";
const IS_MARKED: &str = "select count(*) from pg_namespace where nspname = 'order_totals'
     and obj_description(oid, 'pg_namespace') = 'outbox projection order_totals generation 1'";

#[tokio::test]
async fn tables_from_before_schemas_said_whose_they_are_are_its_own() -> Result {
    // GIVEN an inline projection of a version before
    let scene = scene().await?;
    let run = || {
        Running::of(ProjectionRunner::inline(
            scene.pool.clone(),
            quick(),
            Totals::default(),
        ))
    };
    let is_marked = async || {
        until("its schema says whose it is", PATIENCE, async || {
            Ok((scene.count(IS_MARKED).await? == 1).then_some(()))
        })
        .await
    };
    let running = run();
    is_marked().await?;
    running.stop().await?;
    scene.administer(UNMARKED).await?;
    // WHEN a process of this version runs it THEN the tables are taken for its own, and said to be
    let running = run();
    is_marked().await?;
    place(&scene.pool, "order-1", true).await?;
    running.stop().await?;
    // WHEN the schema belongs to another login THEN it cannot be said, and that ends nobody
    scene.administer(UNMARKED).await?;
    scene
        .administer("alter schema order_totals owner to postgres")
        .await?;
    let running = run();
    order(&scene).await?;
    until("it goes on with what was ordered", PATIENCE, async || {
        Ok((scene
            .count("select count(*) from outbox.projection_rebuild where started_at is not null")
            .await?
            == 1)
            .then_some(()))
    })
    .await?;
    running.kill().await;
    Ok(())
}

#[tokio::test]
async fn it_is_right_at_every_moment_and_built_anew_beside_writers() -> Result {
    // GIVEN a projection that is applied inline
    let scene = scene().await?;
    let running = Running::of(ProjectionRunner::inline(
        scene.pool.clone(),
        quick(),
        Totals::default(),
    ));
    until("it has its tables", PATIENCE, async || {
        Ok((scene
            .count("select count(*) from pg_tables where schemaname = 'order_totals'")
            .await?
            == 2)
            .then_some(()))
    })
    .await?;
    // THEN a transaction reads what it appended, and what is rolled back leaves nothing
    place(&scene.pool, "order-1", true).await?;
    place(&scene.pool, "order-1", false).await?;
    assert!(is_right(&scene).await?);
    // WHEN it is built anew while four writers append
    let (token, mut writers) = (CancellationToken::new(), JoinSet::new());
    for n in 0..4 {
        let (pool, token) = (scene.pool.clone(), token.clone());
        writers.spawn(async move {
            // Not for ever: on a busy machine a rebuild need not catch up with writers that never pause.
            for _ in 0..300 {
                if token.is_cancelled() {
                    break;
                }
                place(&pool, &format!("order-{n}"), true).await?;
            }
            Ok::<_, system_tests::Failure>(())
        });
    }
    order(&scene).await?;
    let said = rebuild_is(&scene, "switched").await;
    token.cancel();
    while let Some(ended) = writers.join_next().await {
        ended??;
    }
    // THEN it had the same rows, and is right afterwards
    assert!(said?.contains("same rows"));
    becomes_right(&scene).await?;
    assert_eq!(
        scene
            .count("select generation::bigint from outbox.projection")
            .await?,
        2
    );
    running.stop().await
}
