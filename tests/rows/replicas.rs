//! Replicas of Redis that must have what is sent before it counts (row 22 of docs/faults.md).

use redis::streams::StreamRangeReply;
use system_tests::arrival::{arrived, stream_of};
use system_tests::login::equipped;
use system_tests::{Failure, Fault, Invocation, Proxy, Relay, Result, World};
use xtask::servers::{Postgres, Redis};

use crate::scene::{LIMIT, Scene, moderate, patient};

/// The entry up to which a stream is recorded as published, and the last one that the replica has.
async fn recorded_and_there(world: &World, topic: &str) -> Result<((u64, u64), (u64, u64))> {
    let mut connection = world.connect().await?;
    let (batch, position): (i64, i64) = sqlx::query_as(
        "select chain_batch_id, chain_position from outbox.progress where topic = $1
         order by batch_number desc, position desc limit 1",
    )
    .bind(topic)
    .fetch_one(&mut connection)
    .await?;
    let last: StreamRangeReply = redis::cmd("XREVRANGE")
        .arg(stream_of(topic))
        .arg(&["+", "-", "COUNT", "1"])
        .query_async(&mut world.redis().await?)
        .await?;
    let last = last
        .ids
        .first()
        .and_then(|entry| entry.id.split_once('-'))
        .ok_or_else(|| Failure::new(format!("the replica has nothing of {topic}")))?;
    let there = (last.0.parse()?, last.1.parse()?);
    Ok(((u64::try_from(batch)?, u64::try_from(position)?), there))
}

#[tokio::test]
async fn what_no_replica_has_is_not_delivered_and_a_failover_to_one_loses_nothing() -> Result {
    // GIVEN a Redis under a name, and the world's own one as its replica, at the end of a link
    let mut world = World::with_own_servers(Postgres::options(), Redis::options()).await?;
    let mut primary = equipped(Redis::options()).start()?;
    let (link, name) = (
        Proxy::before(primary.port()).await?,
        Proxy::before(primary.port()).await?,
    );
    let replica = world.redis_server()?;
    let replica_port = replica.port();
    replica.command(&format!("REPLICAOF 127.0.0.1 {}", link.port()))?;
    // AND relays that wait for a replica, under load
    let options = patient(Relay::of(&world))
        .set("REDIS_URL", format!("redis://127.0.0.1:{}/0", name.port()))
        .set("OUTBOX_PUBLISH_MIN_REPLICAS", 1)
        .set("OUTBOX_PUBLISH_REPLICA_TIMEOUT", "500ms");
    let mut scene = Scene::begin_with(world, options, 2, moderate()).await?;
    scene.producers.commit_more(100, LIMIT).await?;
    let leader = scene.crew.leader().await?;
    // WHEN nothing comes through to the replica any more
    link.inflict(Fault::Hold);
    // THEN the leader is not ready, and says why; it is counted, and producers go on
    let said = scene
        .crew
        .relay(leader)
        .not_ready_because("REPLICAS-MISSING")
        .await?;
    assert!(said.contains("publish.min_replicas"), "{said}");
    let counted = scene
        .crew
        .relay(leader)
        .metric("outbox_publish_unreplicated_total")
        .await?;
    assert!(counted >= 1.0, "it was not counted");
    // AND so does a look at everything
    let name_url = format!("redis://127.0.0.1:{}/0", name.port());
    let database_url = scene.world.database_url().to_owned();
    let looked = tokio::task::spawn_blocking(move || -> Result<_> {
        Invocation::new(&["check"])?
            .set("DATABASE_URL", database_url)
            .set("REDIS_URL", name_url)
            .set("OUTBOX_PUBLISH_MIN_REPLICAS", 1)
            .set("OUTBOX_PUBLISH_REPLICA_TIMEOUT", "500ms")
            .ask()
    });
    let looked = looked.await??;
    assert_ne!(looked.code, 0, "{}", looked.output);
    assert!(
        looked.output.contains("redis.replicas: REPLICAS-MISSING"),
        "{}",
        looked.output
    );
    scene.producers.commit_more(100, LIMIT).await?;
    // AND nothing is recorded as published that the replica does not have
    for topic in &scene.topics {
        let (recorded, there) = recorded_and_there(&scene.world, topic).await?;
        assert!(
            recorded <= there,
            "{topic}: {recorded:?} is recorded, the replica has {there:?}"
        );
    }
    // WHEN the primary dies, the replica is promoted and gets a replica itself
    primary.kill()?;
    scene.world.redis_server()?.promote()?;
    let _next = Redis::options().replica_of(replica_port).start()?;
    name.lead_to(replica_port);
    // THEN all goes on by itself, and everything arrives once and in order
    scene.producers.commit_more(100, LIMIT).await?;
    scene.crew.leader().await?;
    arrived(&scene.world, &scene.topics, LIMIT).await?;
    // AND nothing was lost that would have had to be put out again
    let mut connection = scene.world.connect().await?;
    let lost: i64 = sqlx::query_scalar("select count(*) from outbox.stream_action where action = 'lost'")
        .fetch_one(&mut connection)
        .await?;
    let again: i64 = sqlx::query_scalar("select count(*) from outbox_ops.reissues")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!((lost, again), (0, 0), "the failover lost what had been delivered");
    let journal = scene.ends_well().await?;
    assert_eq!(journal.errors, Vec::<String>::new(), "producers felt it");
    Ok(())
}
