//! The doorbell: rung only for a sleeper, and not for one that was stopped and whose lease is over (G7).

use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{Connection, Executor, PgConnection};
use system_tests::arrival::{arrived, judge};
use system_tests::patience::until;
use system_tests::relay::LEASE;
use system_tests::{Failure, Journal, Relay, Result, Workload, World};
use tokio::time::timeout;
use xtask::servers::{Postgres, Redis};

const LIMIT: Duration = Duration::from_secs(120);
/// Far below the slow poll of these tests, and far above what a busy machine needs.
const SOON: Duration = Duration::from_secs(10);
const TOPIC: &str = "orders.placed";

/// Waits until a relay sleeps, that is, holds the doorbell's lock.
async fn asleep(world: &World) -> Result {
    let mut connection = world.connect().await?;
    until("the leader sleeps", LIMIT, async || {
        let held: bool = sqlx::query_scalar(
            "select exists (select from pg_locks where locktype = 'advisory' and granted and mode = 'ExclusiveLock'
                and database = (select oid from pg_database where datname = current_database())
                and (classid::bigint << 32 | objid::bigint) = 122550254464888)",
        )
        .fetch_one(&mut connection)
        .await?;
        Ok(held.then_some(()))
    })
    .await
}

#[tokio::test]
async fn an_event_wakes_a_sleeping_relay_at_once() -> Result {
    // GIVEN a relay that sleeps and would look again in a minute only
    let world = World::new().await?;
    let mut relay = Relay::of(&world).set("OUTBOX_TAIL_SLOW_POLL", "60s").start()?;
    relay.leads().await?;
    for _ in 0..5 {
        asleep(&world).await?;
        // WHEN an event is appended THEN it arrives at once
        sqlx::query("select outbox.append($1, '{}')")
            .bind(TOPIC)
            .execute(&mut world.connect().await?)
            .await?;
        arrived(&world, &[TOPIC.to_owned()], SOON).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_old_snapshot_rings_too() -> Result {
    // GIVEN a relay that sleeps, and a transaction whose snapshot shows a lease that is long over
    let world = World::new().await?;
    let mut relay = Relay::of(&world)
        .set("OUTBOX_TAIL_SLOW_POLL", "60s")
        .set("OUTBOX_TAIL_LEASE_TTL", "1s")
        .start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    let mut old = connection
        .begin_with("begin isolation level repeatable read")
        .await?;
    until("the lease in the snapshot is over", LIMIT, async || {
        let over: bool =
            sqlx::query_scalar("select expires_at < clock_timestamp() from outbox.lease where name = 'tail'")
                .fetch_one(&mut *old)
                .await?;
        Ok(over.then_some(()))
    })
    .await?;
    asleep(&world).await?;
    // WHEN it appends and commits THEN the event arrives at once
    sqlx::query("select outbox.append($1, '{}')")
        .bind(TOPIC)
        .execute(&mut *old)
        .await?;
    old.commit().await?;
    arrived(&world, &[TOPIC.to_owned()], SOON).await?;
    Ok(())
}

/// How many notifications came before the one that is sent here.
async fn rings(connection: &mut PgConnection, listener: &mut PgListener) -> Result<usize> {
    connection.execute("notify outbox, 'the end'").await?;
    let mut rings = 0;
    while timeout(LIMIT, listener.recv()).await??.payload() != "the end" {
        rings += 1;
    }
    Ok(rings)
}

#[tokio::test]
async fn a_leader_stopped_while_it_sleeps_is_not_rung_for_once_its_lease_is_over() -> Result {
    let world = World::with_own_servers(Postgres::options(), Redis::options()).await?;
    let workload = Workload {
        rollback: 0,
        savepoint: 0,
        hold: 0,
        keys: 500,
        ..Workload::default()
    };
    let topics = workload.topics.clone();
    let mut connection = world.connect().await?;
    let mut listener = PgListener::connect(world.database_url()).await?;
    listener.listen("outbox").await?;
    // GIVEN a leader that sleeps, for which an append rings
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    asleep(&world).await?;
    rings(&mut connection, &mut listener).await?;
    asleep(&world).await?;
    let mut journal = append(&world, &workload, 1).await?;
    assert!(
        rings(&mut connection, &mut listener).await? > 0,
        "nothing was shown"
    );
    arrived(&world, &topics, LIMIT).await?;
    asleep(&world).await?;
    // WHEN it is stopped in its sleep, lock in hand, and its lease runs out
    relay.pause()?;
    until("the lease is over", LEASE * 5, async || {
        let over: bool =
            sqlx::query_scalar("select bool_and(expires_at < clock_timestamp()) from outbox.lease")
                .fetch_one(&mut connection)
                .await?;
        Ok(over.then_some(()))
    })
    .await?;
    rings(&mut connection, &mut listener).await?;
    journal.merge(append(&world, &workload, 200).await?);
    // THEN no commit notifies, which is what would cost producers three quarters of their commits
    assert_eq!(rings(&mut connection, &mut listener).await?, 0);
    // AND all of it arrives
    relay.kill()?;
    let mut relay = Relay::of(&world).start()?;
    arrived(&world, &topics, LIMIT).await?;
    assert!(relay.terminate().await?.success());
    judge(&world, &journal, &topics).await?.clean()
}

/// Writers that do nothing but append, until so many transactions are committed.
async fn append(world: &World, workload: &Workload, transactions: usize) -> Result<Journal> {
    let mut producers = workload.clone().start(world.log()).await?;
    producers.commit_more(transactions, LIMIT).await?;
    producers.stop().await
}

async fn prepare(connection: &mut PgConnection, name: &str, notify: &str) -> sqlx::Result<()> {
    connection.execute("begin").await?;
    sqlx::query("select set_config('outbox.notify', $1, true)")
        .bind(notify)
        .execute(&mut *connection)
        .await?;
    sqlx::query("select outbox.append($1, '{}')")
        .bind(TOPIC)
        .execute(&mut *connection)
        .await?;
    connection
        .execute(sqlx::AssertSqlSafe(format!("prepare transaction '{name}'")))
        .await
        .map(|_| ())
}

#[tokio::test]
async fn two_phase_commit_works_with_notify_off_whether_the_relay_sleeps_or_works() -> Result {
    // GIVEN a relay that looks every 200 ms
    let world = World::with_own_servers(
        Postgres::options().set("max_prepared_transactions", 10),
        Redis::options(),
    )
    .await?;
    let topics = [TOPIC.to_owned()];
    let mut relay = Relay::of(&world).set("OUTBOX_TAIL_SLOW_POLL", "200ms").start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    // WHEN it sleeps THEN a prepared transaction that did not turn notifying off is refused by Postgres
    asleep(&world).await?;
    let refused = prepare(&mut connection, "loud", "").await.err();
    let refused =
        refused.ok_or_else(|| Failure::new("PREPARE TRANSACTION passed though the relay was to be woken"))?;
    assert!(refused.to_string().contains("NOTIFY"), "{refused}");
    connection.execute("rollback").await?;
    // AND one that did arrives after its commit, and not before
    asleep(&world).await?;
    prepare(&mut connection, "asleep", "off").await?;
    nothing_arrived(&world).await?;
    connection.execute("commit prepared 'asleep'").await?;
    arrived(&world, &topics, SOON * 2).await?;
    // WHEN it works THEN the same holds
    let workload = Workload {
        pause: Duration::from_millis(1),
        session: vec![],
        ..Workload::default()
    };
    let mut producers = workload.start(world.log()).await?;
    producers.commit_more(50, LIMIT).await?;
    prepare(&mut connection, "working", "off").await?;
    producers.commit_more(50, LIMIT).await?;
    connection.execute("commit prepared 'working'").await?;
    producers.stop().await?;
    arrived(&world, &topics, LIMIT).await?;
    connection.close().await?;
    Ok(())
}

async fn nothing_arrived(world: &World) -> Result {
    let entries = system_tests::arrival::entries_of(world, &[TOPIC.to_owned()]).await?;
    if entries == 0 {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "{entries} entries of a transaction that is only prepared"
        )))
    }
}
