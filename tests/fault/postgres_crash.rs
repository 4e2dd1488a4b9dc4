//! A Postgres that crashes and forgets commits it had confirmed, since it runs with `synchronous_commit = off` (G2).

use std::collections::HashSet;
use std::time::Duration;

use system_tests::arrival::{arrived, judge};
use system_tests::journal::Outcome;
use system_tests::{Relay, Result, Workload, World};
use uuid::Uuid;
use xtask::servers::{Postgres, Redis, Stop};

const CRASHES: usize = 4;
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn commits_that_a_crash_undoes_are_never_on_a_stream() -> Result {
    // GIVEN a server that confirms commits before they are on disk, and writes them rarely
    let postgres = Postgres::options()
        .set("synchronous_commit", "off")
        .set("wal_writer_delay", "10s");
    let mut world = World::with_own_servers(postgres, Redis::options()).await?;
    let workload = Workload::default();
    let topics = workload.topics.clone();
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let mut producers = workload.start(world.log()).await?;
    // WHEN it crashes under load, again and again; every other time while the relay stands still, whose batches bring to disk what is before
    // them: then something is undone for certain
    for crash in 0..CRASHES {
        producers.commit_more(250, LIMIT).await?;
        let stands_still = crash % 2 == 1;
        if stands_still {
            relay.pause()?;
        }
        producers.commit_more(50, LIMIT).await?;
        world.postgres()?.restart(Stop::Immediate)?;
        if stands_still {
            relay.resume()?;
        }
        relay.leads().await?;
    }
    producers.commit_more(100, LIMIT).await?;
    let mut journal = producers.stop().await?;
    arrived(&world, &topics, LIMIT).await?;
    assert!(relay.terminate().await?.success());
    // THEN what was undone, and something was, is on no stream; the rest is there once and in order
    let in_the_log: Vec<Uuid> = sqlx::query_scalar("select id from outbox.log")
        .fetch_all(&mut world.connect().await?)
        .await?;
    let in_the_log: HashSet<Uuid> = in_the_log.into_iter().collect();
    let undone = journal
        .committed()
        .filter(|fact| !in_the_log.contains(&fact.id))
        .count();
    eprintln!("{undone} confirmed events were undone by {CRASHES} crashes");
    assert!(undone > 0, "no confirmed commit was undone: nothing was shown");
    journal.settle(&in_the_log);
    assert!(journal.count(Outcome::Committed) > 0);
    judge(&world, &journal, &topics).await?.clean()
}
