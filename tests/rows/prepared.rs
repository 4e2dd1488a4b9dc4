//! A prepared transaction that nobody ends (row 4 of docs/faults.md).

use sqlx::Executor;
use system_tests::arrival::{arrived, entries_of};
use system_tests::{Result, World};
use xtask::servers::{Postgres, Redis};

use crate::scene::{LIMIT, Scene, moderate};

#[tokio::test]
async fn a_prepared_transaction_that_nobody_ends_is_named_and_holds_nobody_else() -> Result {
    // GIVEN a transaction that appended, was prepared, and was forgotten
    let postgres = Postgres::options().set("max_prepared_transactions", 2);
    let world = World::with_own_servers(postgres, Redis::options()).await?;
    let mut connection = world.connect().await?;
    connection
        .execute("set outbox.notify = off; begin; select outbox.append('held', '{}'); prepare transaction 'order-7'")
        .await?;
    // WHEN others append, THEN theirs arrive
    let mut scene = Scene::begin(world, 2, moderate()).await?;
    scene.producers.commit_more(200, LIMIT).await?;
    arrived(&scene.world, &scene.topics, LIMIT).await?;
    // AND it is named, by what ends it, also after a crash of the server
    scene.world.postgres()?.restart(xtask::servers::Stop::Immediate)?;
    let mut connection = scene.world.connect().await?;
    let named: Vec<String> = sqlx::query_scalar(
        "select prepared_name from outbox_ops.waiting_transactions where kind = 'prepared'",
    )
    .fetch_all(&mut connection)
    .await?;
    assert_eq!(named, ["order-7"]);
    let held = ["held".to_owned()];
    assert_eq!(
        entries_of(&scene.world, &held).await?,
        0,
        "published before its commit"
    );
    // AND it arrives when somebody ends it
    connection.execute("commit prepared 'order-7'").await?;
    arrived(&scene.world, &held, LIMIT).await?;
    scene.ends_well().await?;
    Ok(())
}
