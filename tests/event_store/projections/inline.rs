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
