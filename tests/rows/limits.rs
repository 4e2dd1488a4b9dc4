//! Limits that a database sets for everybody, transactions nobody ends, and relays that are told to end (rows 4, 24 and 50
//! of docs/faults.md).

use sqlx::{AssertSqlSafe, Executor};
use system_tests::arrival::{arrived, backlog, entries_of};
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

#[tokio::test]
async fn a_relay_that_is_told_to_end_under_load_hands_over_at_once() -> Result {
    // GIVEN relays whose lease is longer than anybody here would wait
    let world = World::new().await?;
    let options = Relay::of(&world).set("OUTBOX_TAIL_LEASE_TTL", "120s");
    let mut scene = Scene::begin_with(world, options, 2, moderate()).await?;
    let mut changed = 0;
    for _ in 0..4 {
        // WHEN the leader is told to end
        let leader = scene.crew.leader().await?;
        let status = scene.crew.relay(leader).terminate().await?;
        assert!(status.success(), "it ended with {status}");
        // THEN the other one leads long before the lease would be over
        scene.crew.leader_other_than(&[leader]).await?;
        scene.crew.replace(leader)?;
        scene.crew.relay(leader).ready().await?;
        scene.producers.commit_more(50, LIMIT).await?;
        changed += 1;
    }
    assert_eq!(changed, 4);
    let journal = scene.ends_well().await?;
    assert_eq!(journal.errors, Vec::<String>::new(), "producers felt it");
    Ok(())
}

#[tokio::test]
async fn a_redis_that_would_evict_streams_is_refused() -> Result {
    // GIVEN a Redis that throws keys away when it is full
    let redis = Redis::options()
        .set("maxmemory", "100mb")
        .set("maxmemory-policy", "allkeys-lru");
    let world = World::with_own_servers(Postgres::options(), redis).await?;
    let topics = ["orders.placed".to_owned()];
    backlog(&world, &topics, 1, 10, 10).await?;
    // WHEN a relay finds it THEN nothing is published, and the setting is named
    let mut relay = patient(Relay::of(&world)).start()?;
    relay.not_ready_because("maxmemory-policy").await?;
    assert_eq!(entries_of(&world, &topics).await?, 0);
    // AND it goes on by itself when that is mended
    redis::cmd("CONFIG")
        .arg(&["SET", "maxmemory-policy", "noeviction"])
        .query_async::<()>(&mut world.redis().await?)
        .await?;
    arrived(&world, &topics, LIMIT).await?;
    Ok(())
}
