//! The doorbell's trigger: rung for a relay that sleeps and leads, and for nobody else (G7).
//!
//! A notification takes a lock of the whole cluster at commit, so one too many is what these count.

use sqlx::postgres::PgListener;
use sqlx::{Executor, PgConnection};
use system_tests::{Result, World};

/// The lock that a relay holds while it sleeps.
const SLEEP: &str = "select pg_advisory_lock(122550254464888)";
const WAKE: &str = "select pg_advisory_unlock(122550254464888)";
const LEAD: &str = "update outbox.lease set epoch = epoch + 1, holder = 'r', expires_at = clock_timestamp() + interval '1 hour'
    where name = 'tail'";
const LEASE_OVER: &str = "update outbox.lease set expires_at = clock_timestamp() where name = 'tail'";

/// How often an append rings: what arrives before the mark that is sent after it.
async fn rings(
    listener: &mut PgListener,
    producer: &mut PgConnection,
    append: &'static str,
) -> Result<usize> {
    producer.execute(append).await?;
    producer.execute("select pg_notify('outbox', 'mark')").await?;
    let mut rings = 0;
    while listener.recv().await?.payload() != "mark" {
        rings += 1;
    }
    Ok(rings)
}

#[tokio::test]
async fn only_a_leader_that_sleeps_is_rung() -> Result {
    is_rung_when_it_sleeps("select outbox.append('t', '{}')").await
}

#[tokio::test]
async fn so_does_an_insert_into_outgoing() -> Result {
    is_rung_when_it_sleeps("insert into outbox.outgoing (topic) values ('t')").await
}

/// The library's way is behind the trigger's back too.
#[tokio::test]
async fn so_does_one_into_the_view_for_plain_events() -> Result {
    let plain =
        "insert into outbox.outgoing_if_plain (id, topic, data) values (gen_random_uuid(), 't', '{}')";
    is_rung_when_it_sleeps(plain).await
}

/// What it does not take goes another way, and that one rings.
#[tokio::test]
async fn what_the_view_for_plain_events_leaves_out_rings_nobody_and_keeps_nobody_awake() -> Result {
    // GIVEN a leader that sleeps, and one transaction with what is left out
    let world = World::new().await?;
    let (mut producer, mut relay) = (world.connect().await?, world.connect().await?);
    let mut listener = PgListener::connect(world.database_url()).await?;
    listener.listen("outbox").await?;
    relay.execute(LEAD).await?;
    relay.execute(SLEEP).await?;
    let left_out =
        "insert into outbox.outgoing_if_plain (id, topic, data) values (gen_random_uuid(), 'no name', '{}')";
    // WHEN it commits THEN nobody is rung
    assert_eq!(rings(&mut listener, &mut producer, left_out).await?, 0);
    // AND while it is open the next leader goes to sleep
    relay.execute(WAKE).await?;
    producer.execute("begin").await?;
    producer.execute(left_out).await?;
    let sleeps: bool = sqlx::query_scalar("select pg_try_advisory_lock(122550254464888)")
        .fetch_one(&mut relay)
        .await?;
    assert!(sleeps, "an event that was left out keeps the leader awake");
    relay.execute(WAKE).await?;
    // AND not beside one that was taken
    producer
        .execute(
            "insert into outbox.outgoing_if_plain (id, topic, data) values (gen_random_uuid(), 't', '{}')",
        )
        .await?;
    let sleeps: bool = sqlx::query_scalar("select pg_try_advisory_lock(122550254464888)")
        .fetch_one(&mut relay)
        .await?;
    assert!(!sleeps, "an event in flight does not keep the leader awake");
    Ok(())
}

/// One event for a stream is inserted behind the trigger's back.
#[tokio::test]
async fn a_stream_that_takes_one_event_rings_as_well() -> Result {
    let short = "select outbox.append_stored('a-1', null, gen_random_uuid(), null, 'x', null, null, null, null, null, '{}')";
    is_rung_when_it_sleeps(short).await
}

#[tokio::test]
async fn so_does_one_that_takes_many() -> Result {
    is_rung_when_it_sleeps(r#"select outbox.append_to_stream('a-1', null, '[{"type": "x"}, {"type": "y"}]')"#)
        .await
}

async fn is_rung_when_it_sleeps(append: &'static str) -> Result {
    let world = World::new().await?;
    let (mut producer, mut relay) = (world.connect().await?, world.connect().await?);
    let mut listener = PgListener::connect(world.database_url()).await?;
    listener.listen("outbox").await?;
    producer
        .execute(r#"select outbox.append_to_stream('a-1', 0, '[{"type": "x"}]')"#)
        .await?;
    let rings = async |producer: &mut PgConnection, listener: &mut PgListener| {
        rings(listener, producer, append).await
    };
    // GIVEN no relay at all THEN nobody is rung
    assert_eq!(rings(&mut producer, &mut listener).await?, 0, "without a relay");
    // GIVEN a leader at work
    relay.execute(LEAD).await?;
    assert_eq!(rings(&mut producer, &mut listener).await?, 0, "at work");
    // GIVEN a leader that sleeps
    relay.execute(SLEEP).await?;
    assert_eq!(rings(&mut producer, &mut listener).await?, 1, "asleep");
    // GIVEN a producer that turned notifying off
    producer.execute("set outbox.notify = off").await?;
    assert_eq!(rings(&mut producer, &mut listener).await?, 0, "notify off");
    producer.execute("reset outbox.notify").await?;
    // GIVEN a leader that was stopped in its sleep and whose lease is over
    relay.execute(LEASE_OVER).await?;
    assert_eq!(rings(&mut producer, &mut listener).await?, 0, "lease over");
    // GIVEN the next leader, asleep and awake
    relay.execute(LEAD).await?;
    assert_eq!(rings(&mut producer, &mut listener).await?, 1, "asleep again");
    relay.execute(WAKE).await?;
    assert_eq!(rings(&mut producer, &mut listener).await?, 0, "awake again");
    Ok(())
}
