//! The leases are held from the first step to the last, and where they are not, no era is opened.

use sqlx::{Connection, Executor};
use system_tests::Result;
use system_tests::past::{LIMIT, Past, Scene};
use system_tests::patience::until;

use crate::apply::{AtWork, ON_ENTRIES, ON_LOG, stands};

#[tokio::test]
async fn a_step_may_take_longer_than_the_leases_run() -> Result {
    let scene = Scene::after(Past::BaseBackup).await?;
    let mut connection = scene.connect().await?;
    let mut holding = connection.begin().await?;
    holding
        .execute("lock table outbox.unknown_entry in exclusive mode")
        .await?;
    let mut recovering = AtWork::start(&scene, "trust-database")?;
    recovering.waits(&scene, ON_ENTRIES).await?;
    // WHEN it waits, THEN its leases are renewed, and stay of one epoch
    let mut watch = scene.connect().await?;
    let held = "select epoch, expires_at::text from outbox.lease where name = 'tail' and expires_at > clock_timestamp()";
    let first: (i64, String) = sqlx::query_as(held).fetch_one(&mut watch).await?;
    for _ in 0..2 {
        let before: (i64, String) = sqlx::query_as(held).fetch_one(&mut watch).await?;
        until("they are renewed", LIMIT, async || {
            let now: (i64, String) = sqlx::query_as(held).fetch_one(&mut watch).await?;
            assert_eq!(now.0, first.0, "one epoch");
            Ok((now.1 > before.1).then_some(()))
        })
        .await?;
    }
    holding.rollback().await?;
    let (code, _, errors) = recovering.end().await?;
    assert_eq!(code, 0, "{errors}");
    // AND given back
    let free: bool = sqlx::query_scalar("select bool_and(expires_at <= clock_timestamp()) from outbox.lease")
        .fetch_one(&mut watch)
        .await?;
    assert!(free);
    Ok(())
}

#[tokio::test]
async fn whoever_lost_the_leases_opens_no_era() -> Result {
    let mut scene = Scene::after(Past::BaseBackup).await?;
    // GIVEN a recovery that waits for somebody who appended
    let mut connection = scene.connect().await?;
    let mut holding = connection.begin().await?;
    holding
        .execute("select outbox.append('another.topic', '{}')")
        .await?;
    let mut recovering = AtWork::start(&scene, "trust-database")?;
    recovering.waits(&scene, ON_LOG).await?;
    // WHEN another process takes the leases, and the way is free
    scene
        .execute(
            "update outbox.lease set epoch = epoch + 1, holder = 'another', expires_at = clock_timestamp() + interval '1 minute'",
        )
        .await?;
    holding.rollback().await?;
    let (code, _, errors) = recovering.end().await?;
    // THEN it opens nothing, and says why
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains("leases"), "{errors}");
    assert_eq!(
        stands(&scene).await?,
        (1, vec!["trust-database begun".to_owned()])
    );
    assert_eq!(scene.entries().await?.len(), 20);
    Ok(())
}
