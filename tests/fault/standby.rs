//! A synchronous standby that does not answer: a batch that is not on it is not published (G2).

use std::time::Duration;

use sqlx::{Executor, PgConnection};
use system_tests::arrival::{arrived, entries_of};
use system_tests::patience::until;
use system_tests::{Relay, Result, World};
use xtask::servers::{Postgres, Redis};

const LIMIT: Duration = Duration::from_secs(120);
const TOPIC: &str = "orders.placed";

/// The relay's session for this purpose, once its commit waits for the standby.
async fn waits(connection: &mut PgConnection, purpose: &str) -> Result<i32> {
    until(purpose, LIMIT, async || {
        Ok(sqlx::query_scalar(
            "select pid from pg_stat_activity where wait_event = 'SyncRep' and application_name = 'outbox-relay/' || $1",
        )
        .bind(purpose)
        .fetch_optional(&mut *connection)
        .await?)
    })
    .await
}

#[tokio::test]
async fn a_batch_whose_wait_for_the_standby_was_cancelled_is_in_doubt_and_not_published() -> Result {
    // GIVEN a leader whose lease lasts, and a standby that every commit is to wait for, and that is not there
    let world = World::with_own_servers(Postgres::options(), Redis::options()).await?;
    let topics = [TOPIC.to_owned()];
    let mut relay = Relay::of(&world).set("OUTBOX_TAIL_LEASE_TTL", "5m").start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    connection.execute("set synchronous_commit = local").await?;
    connection
        .execute("alter system set synchronous_standby_names = 'nobody'")
        .await?;
    connection.execute("select pg_reload_conf()").await?;
    sqlx::query("select outbox.append($1, '{}')")
        .bind(TOPIC)
        .execute(&mut connection)
        .await?;
    // WHEN somebody cancels the wait of a batch, so that its commit succeeds with a warning
    let process = waits(&mut connection, "tail").await?;
    sqlx::query("select pg_cancel_backend($1)")
        .bind(process)
        .execute(&mut connection)
        .await?;
    // THEN the relay takes the outcome for unknown: it gives its lease back, long before that is due to be renewed
    waits(&mut connection, "lease").await?;
    assert_eq!(entries_of(&world, &topics).await?, 0);
    // AND when commits need not wait any longer, the event arrives, once
    connection
        .execute("alter system reset synchronous_standby_names")
        .await?;
    connection.execute("select pg_reload_conf()").await?;
    arrived(&world, &topics, LIMIT).await?;
    assert_eq!(entries_of(&world, &topics).await?, 1);
    Ok(())
}
