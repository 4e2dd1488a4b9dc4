//! Limits and modes that a database sets for everybody who is of a role (the last table of docs/faults.md).

use sqlx::{AssertSqlSafe, Executor};
use system_tests::{Relay, Result, World};
use xtask::servers::{Postgres, Redis};

use crate::scene::{LIMIT, Scene, login, moderate, patient};

#[tokio::test]
async fn timeouts_and_modes_set_for_the_relays_role_do_not_touch_its_work() -> Result {
    // GIVEN a role for which somebody set what ends other people's statements
    let world = World::with_own_servers(Postgres::options(), Redis::options()).await?;
    let (role, url) = login(&world, "outbox_relay, outbox_maintainer").await?;
    let mut administrator = world.connect().await?;
    for (name, value) in [
        ("statement_timeout", "1ms"),
        ("lock_timeout", "1ms"),
        ("idle_in_transaction_session_timeout", "1ms"),
        ("idle_session_timeout", "1s"),
        ("default_transaction_isolation", "serializable"),
        ("synchronous_commit", "off"),
        ("enable_indexscan", "off"),
        ("search_path", "pg_temp"),
    ] {
        let statement = format!("alter role {role} set {name} = '{value}'");
        administrator.execute(AssertSqlSafe(statement)).await?;
    }
    // WHEN it relays under load
    let options = patient(Relay::of(&world)).set("DATABASE_URL", &url);
    let mut scene = Scene::begin_with(world, options, 2, moderate()).await?;
    scene.producers.commit_more(300, LIMIT).await?;
    // THEN everything arrives, and producers never notice
    let journal = scene.ends_well().await?;
    assert_eq!(journal.errors, Vec::<String>::new(), "producers felt it");
    Ok(())
}
