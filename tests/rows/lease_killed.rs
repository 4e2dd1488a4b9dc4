//! The server ends the sessions of the relays, again and again (rows 8 and 39 of docs/faults.md).

use std::time::Duration;

use sqlx::PgConnection;
use system_tests::arrival::entries_of;
use system_tests::{Result, World};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::scene::{LIMIT, Scene, moderate};

const STRIKES: usize = 30;
const EVERY: Duration = Duration::from_secs(1);

/// Ends every session of this kind in this database; says how many there were.
async fn end(connection: &mut PgConnection, application: &str) -> Result<i64> {
    let ended = sqlx::query_scalar(
        "select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity
         where datname = current_database() and application_name = $1",
    );
    Ok(ended.bind(application).fetch_one(connection).await?)
}

#[tokio::test]
async fn leases_whose_sessions_are_ended_every_second_for_half_a_minute_cost_nothing_but_time() -> Result {
    // GIVEN two relays under load
    let mut scene = Scene::begin(World::new().await?, 2, moderate()).await?;
    let mut connection = scene.world.connect().await?;
    let mut ticks = interval_at(Instant::now() + EVERY, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (before, committed) = (
        entries_of(&scene.world, &scene.topics).await?,
        scene.producers.committed(),
    );
    // WHEN the sessions that hold the lease are ended every second, now and then those that cut too
    let (mut ended, mut moved, mut seen) = (0, 0, before);
    for strike in 0..STRIKES {
        ticks.tick().await;
        let now = entries_of(&scene.world, &scene.topics).await?;
        moved += usize::from(now > seen);
        seen = now;
        ended += end(&mut connection, "outbox-relay/lease").await?;
        if strike % 3 == 0 {
            ended += end(&mut connection, "outbox-relay/tail").await?;
        }
    }
    // THEN it went on meanwhile: a term that went well for a while makes the next pause a short one
    let arrived = seen - before;
    let committed = scene.producers.committed() - committed;
    eprintln!(
        "{ended} sessions ended; {arrived} events of {committed} transactions arrived in {moved} of {STRIKES} seconds"
    );
    assert!(
        ended >= i64::try_from(STRIKES)?,
        "{ended} sessions were ended only"
    );
    assert!(
        moved > STRIKES / 2,
        "something arrived in {moved} of {STRIKES} seconds: publishing stood still"
    );
    // AND all of it arrives once and in order; the producers never noticed
    scene.producers.commit_more(50, LIMIT).await?;
    let journal = scene.ends_well().await?;
    assert_eq!(journal.errors, Vec::<String>::new(), "producers felt it");
    Ok(())
}
