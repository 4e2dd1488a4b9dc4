//! A notification queue that is filling up (row 40 of docs/faults.md).
//!
//! A queue that is really full takes 8 GB before Postgres 17. How full it is said to be is told here by a function of the same
//! name, in this database alone; the doorbell, the relay and the view ask it as they ask the server's.

use sqlx::postgres::PgListener;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use system_tests::arrival::arrived;
use system_tests::patience::until;
use system_tests::{Relay, Result, World};

use crate::scene::{LIMIT, patient};

const TOPIC: &str = "orders.placed";
const EVENTS: usize = 20;

/// From now on the queue is said to be this full.
async fn say(connection: &mut PgConnection, part: f64) -> Result {
    connection
        .execute(AssertSqlSafe(format!(
            "create or replace function pg_catalog.pg_notification_queue_usage() returns double precision \
             language sql volatile as 'select {part}::double precision'"
        )))
        .await?;
    Ok(())
}

/// Waits until the relay of this database sleeps on the doorbell.
async fn asleep(connection: &mut PgConnection) -> Result {
    until("the relay sleeps", LIMIT, async || {
        let held: bool = sqlx::query_scalar(
            "select exists (select from pg_locks l join pg_database d on d.oid = l.database
             where d.datname = current_database() and l.locktype = 'advisory' and l.mode = 'ExclusiveLock' and l.granted
                   and (l.classid::bigint << 32 | l.objid::bigint) = 122550254464888)",
        )
        .fetch_one(&mut *connection)
        .await?;
        Ok(held.then_some(()))
    })
    .await
}

/// Appends one event after the other, each to a relay that sleeps. Returns how often it was rung.
async fn append(world: &World, connection: &mut PgConnection, listener: &mut PgListener) -> Result<usize> {
    for _ in 0..EVENTS {
        asleep(connection).await?;
        sqlx::query("select outbox.append($1, '{}')")
            .bind(TOPIC)
            .execute(&mut *connection)
            .await?;
        arrived(world, &[TOPIC.to_owned()], LIMIT).await?;
    }
    connection.execute("select pg_notify('outbox', 'mark')").await?;
    let mut rings = 0;
    while listener.recv().await?.payload() != "mark" {
        rings += 1;
    }
    Ok(rings)
}

#[tokio::test]
async fn from_half_full_on_nobody_is_rung_and_polling_finds_everything() -> Result {
    // GIVEN a relay that sleeps, and somebody who hears when it is rung
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let mut relay = patient(Relay::of(&world))
        .set("OUTBOX_TAIL_SLOW_POLL", "200ms")
        .start()?;
    relay.leads().await?;
    let mut listener = PgListener::connect(world.database_url()).await?;
    listener.listen("outbox").await?;
    // WHEN the queue is half full, THEN whatever is appended arrives, and nothing is added to the queue for it
    say(&mut connection, 0.5).await?;
    assert_eq!(
        append(&world, &mut connection, &mut listener).await?,
        0,
        "half full"
    );
    // AND it is shown
    let usage: f64 = sqlx::query_scalar("select notification_queue_usage::float8 from outbox_ops.summary")
        .fetch_one(&mut connection)
        .await?;
    assert!((usage - 0.5).abs() < f64::EPSILON, "{usage}");
    // WHEN it is less, THEN the relay is rung again
    say(&mut connection, 0.4).await?;
    // A session that planned it before keeps what it found: the server's own functions are not expected to change.
    let mut connection = world.connect().await?;
    let rings = append(&world, &mut connection, &mut listener).await?;
    assert!(rings > 0, "the doorbell stays silent");
    assert!(relay.terminate().await?.success());
    Ok(())
}
