//! A Postgres that takes no writes any more, under the relays' feet (row 17 of docs/faults.md).

use sqlx::Executor;
use system_tests::{Result, World};
use xtask::servers::{Postgres, Redis};

use crate::scene::{LIMIT, Scene, moderate};

#[tokio::test]
async fn a_postgres_that_takes_no_writes_is_named_and_all_go_on_by_themselves_when_it_does() -> Result {
    // GIVEN two relays under load
    let world = World::with_own_servers(Postgres::options(), Redis::options()).await?;
    let mut scene = Scene::begin(world, 2, moderate()).await?;
    let mut administrator = scene.world.connect().await?;
    administrator
        .execute("set default_transaction_read_only = off")
        .await?;
    // WHEN somebody makes the server read only, for sessions that are open too
    administrator
        .execute("alter system set default_transaction_read_only = on")
        .await?;
    administrator.execute("select pg_reload_conf()").await?;
    // THEN the one that leads and the one that stands by are not ready, and say why, with the code, also in their logs
    for relay in 0..2 {
        let said = scene.crew.relay(relay).not_ready_because("25006").await?;
        assert!(said.contains("POSTGRES-IS-READ-ONLY"), "{said}");
        assert!(
            said.contains("\"waiting\""),
            "nobody has to decide anything: {said}"
        );
        scene.crew.relay(relay).logs("SQLSTATE 25006", LIMIT).await?;
    }
    // WHEN it takes writes again, THEN both go on by themselves
    administrator
        .execute("alter system reset default_transaction_read_only")
        .await?;
    administrator.execute("select pg_reload_conf()").await?;
    scene.producers.commit_more(100, LIMIT).await?;
    for relay in 0..2 {
        scene.crew.relay(relay).ready().await?;
    }
    scene.crew.leader().await?;
    // AND nothing is lost, doubled or turned; what producers were refused, they were refused for this
    let journal = scene.ends_well().await?;
    assert!(
        !journal.errors.is_empty(),
        "producers could write: nothing was shown"
    );
    for error in &journal.errors {
        assert!(error.contains("25006"), "{error}");
    }
    Ok(())
}
