//! Links that let nothing through, or one way only, answers that are lost, and addresses that change (rows 9, 10, 38, 41 and 46 of
//! docs/faults.md).

use std::time::{Duration, Instant};

use system_tests::arrival::{arrived, backlog, entries_of, judge};
use system_tests::patience::until;
use system_tests::proxy::port_of;
use system_tests::{Crew, Fault, Proxy, Relay, Result, World};
use xtask::servers::{Postgres, Redis, Stop};

use crate::scene::{LIMIT, Scene, moderate, patient};

const LOST_ANSWERS: u64 = 12;
/// Long enough that three of them are an honest bound on a machine with other things to do.
const LEASE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_leader_whose_link_to_postgres_is_dead_is_replaced_within_its_lease() -> Result {
    // GIVEN a relay that reaches Postgres through a link of its own, another one, and load
    let world = World::new().await?;
    let at = port_of(world.database_url())?;
    let link = Proxy::before(at).await?;
    let options = patient(Relay::of(&world)).set("OUTBOX_TAIL_LEASE_TTL", format!("{}ms", LEASE.as_millis()));
    let linked = options
        .clone()
        .set("DATABASE_URL", link.url(world.database_url(), at));
    let crew = Crew::of(vec![linked, options]).await?;
    let mut scene = Scene::with(world, crew, moderate()).await?;
    for fault in [Fault::Hold, Fault::HoldReplies, Fault::HoldRequests] {
        // WHEN the one with the link leads, and nothing comes through any more, or nothing one way; connections stay open
        if scene.crew.leader().await? != 0 {
            scene.crew.relay(1).kill()?;
            scene.crew.leader_other_than(&[1]).await?;
            scene.crew.replace(1)?;
            scene.crew.relay(1).ready().await?;
        }
        link.inflict(fault);
        let since = Instant::now();
        // THEN the other one leads soon, and the first one knows that it does not, and why
        scene.crew.leader_other_than(&[0]).await?;
        let took = since.elapsed();
        eprintln!("{fault:?}: taken over after {took:.1?}, with a lease of {LEASE:?}");
        assert!(took <= LEASE * 3, "{fault:?}: taken over after {took:?}");
        scene.producers.commit_more(50, LIMIT).await?;
        scene.crew.relay(0).not_ready_because("Postgres within").await?;
        assert!(link.toll() > 0, "{fault:?} met nothing");
        // AND it stands by when the link is there again
        link.heal();
        scene.crew.relay(0).ready().await?;
    }
    let journal = scene.ends_well().await?;
    assert_eq!(journal.errors, Vec::<String>::new(), "producers felt it");
    Ok(())
}

#[tokio::test]
async fn answers_of_either_server_that_are_lost_again_and_again_lose_and_double_nothing() -> Result {
    // GIVEN two relays that reach both servers through links, under load
    let world = World::new().await?;
    let (postgres_at, redis_at) = (port_of(world.database_url())?, port_of(world.redis_url())?);
    let (postgres, redis) = (Proxy::before(postgres_at).await?, Proxy::before(redis_at).await?);
    let options = patient(Relay::of(&world))
        .set("DATABASE_URL", postgres.url(world.database_url(), postgres_at))
        .set("REDIS_URL", redis.url(world.redis_url(), redis_at));
    let mut scene = Scene::begin_with(world, options, 2, moderate()).await?;
    for round in 0..LOST_ANSWERS {
        // WHEN what is sent arrives, and the answer to the next or the one after is lost with its connection
        let link = if round % 2 == 0 { &postgres } else { &redis };
        link.inflict_after(1 + round % 5, Fault::FailAfterWrite);
        tokio::time::timeout(LIMIT, link.is_inflicted()).await?;
        scene.producers.commit_more(20, LIMIT).await?;
        link.heal();
        let before = entries_of(&scene.world, &scene.topics).await?;
        until("it goes on", LIMIT, async || {
            Ok((entries_of(&scene.world, &scene.topics).await? > before).then_some(()))
        })
        .await?;
        scene.producers.commit_more(20, LIMIT).await?;
    }
    // THEN what was in doubt is neither lost nor there twice
    let journal = scene.ends_well().await?;
    assert_eq!(journal.errors, Vec::<String>::new(), "producers felt it");
    Ok(())
}

#[tokio::test]
async fn a_slow_redis_is_waited_for_in_bounded_memory() -> Result {
    const EVENTS: i32 = 60_000;
    const PAYLOAD_BYTES: i32 = 2000;
    const MEMORY_BYTES: u64 = 128 << 20;
    // GIVEN 120 MB of events, and a link to Redis that carries 2 MB a second
    let world = World::new().await?;
    let at = port_of(world.redis_url())?;
    let link = Proxy::before(at).await?;
    link.inflict(Fault::Throttle(2_000_000));
    let topics = ["orders.placed", "payments.taken", "stock.moved"].map(str::to_owned);
    let journal = backlog(&world, &topics, 6, EVENTS / 6, PAYLOAD_BYTES).await?;
    // WHEN a relay has published some of it
    let mut relay = patient(Relay::of(&world))
        .set("REDIS_URL", link.url(world.redis_url(), at))
        .start()?;
    until("some of it is there", LIMIT, async || {
        Ok((entries_of(&world, &topics).await? >= 5000).then_some(()))
    })
    .await?;
    // THEN it did not read ahead of what is taken from it
    let peak = relay.peak_memory_bytes()?;
    eprintln!("peak memory {} MiB behind a slow link", peak >> 20);
    assert!(peak <= MEMORY_BYTES, "the relay had {} MiB", peak >> 20);
    assert!(link.toll() > 0, "the link was not slow");
    // AND the rest arrives when it is not slow any more
    link.heal();
    arrived(&world, &topics, LIMIT).await?;
    assert!(relay.terminate().await?.success());
    judge(&world, &journal, &topics).await?.clean()
}

#[tokio::test]
async fn servers_that_move_to_another_address_are_found_under_their_names() -> Result {
    // GIVEN servers known by names, and two relays under load
    let postgres = Postgres::options().set("listen_addresses", "127.0.0.1,127.0.0.3");
    let redis = Redis::options().durable().set("bind", "127.0.0.1 127.0.0.3");
    let world = World::with_own_servers(postgres, redis).await?;
    let folder = tempfile::tempdir()?;
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.3 database.test redis.test\n")?;
    let options = patient(Relay::of(&world))
        .set(
            "DATABASE_URL",
            world.database_url().replacen("127.0.0.1", "database.test", 1),
        )
        .set(
            "REDIS_URL",
            world.redis_url().replacen("127.0.0.1", "redis.test", 1),
        )
        .hosts(&hosts);
    let mut scene = Scene::begin_with(world, options, 2, moderate()).await?;
    // WHEN both move, and the names say so
    std::fs::write(&hosts, "127.0.0.4 database.test redis.test\n")?;
    let mut console = scene.world.redis().await?;
    redis::cmd("CONFIG")
        .arg(&["SET", "bind", "127.0.0.1 127.0.0.4"])
        .query_async::<()>(&mut console)
        .await?;
    redis::cmd("CLIENT")
        .arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"])
        .query_async::<i64>(&mut console)
        .await?;
    let server = scene.world.postgres()?;
    server.configure("listen_addresses", "127.0.0.1,127.0.0.4")?;
    server.restart(Stop::Fast)?;
    // THEN the relays go on without being told
    scene.crew.leader().await?;
    scene.ends_well().await?;
    Ok(())
}

#[tokio::test]
async fn a_sleeper_whose_link_dies_without_a_word_is_replaced() -> Result {
    // GIVEN a leader that sleeps, woken by notifications alone, and another relay
    let world = World::new().await?;
    let at = port_of(world.database_url())?;
    let link = Proxy::before(at).await?;
    let options = patient(Relay::of(&world)).set("OUTBOX_TAIL_SLOW_POLL", "60s");
    let linked = options
        .clone()
        .set("DATABASE_URL", link.url(world.database_url(), at));
    let mut crew = Crew::of(vec![linked]).await?;
    crew.leader().await?;
    let mut other = options.start()?;
    other.ready().await?;
    // WHEN its link dies, which neither side is told, and an event is appended
    link.inflict(Fault::Hold);
    let topics = ["orders.placed".to_owned()];
    let journal = backlog(&world, &topics, 1, 10, 10).await?;
    // THEN the lease says that it is gone, and the other one looks for itself
    arrived(&world, &topics, Duration::from_secs(30)).await?;
    assert!(other.is_leading().await);
    judge(&world, &journal, &topics).await?.clean()
}
