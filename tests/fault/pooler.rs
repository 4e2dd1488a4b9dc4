//! Behind PgBouncer in transaction mode nothing of a session lasts: polling alone must do.

use std::time::Duration;

use system_tests::arrival::{arrived, judge};
use system_tests::{Crew, Relay, Result, Workload, World};
use xtask::servers::{PgBouncer, Postgres, Redis};

const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn behind_a_transaction_pooler_with_listen_off_everything_arrives_once_and_in_order() -> Result {
    // GIVEN two relays that reach Postgres only through a transaction pooler
    let mut world = World::with_own_servers(Postgres::options(), Redis::options()).await?;
    let pooler = PgBouncer::start(world.postgres()?, 20)?;
    let options = Relay::of(&world)
        .set("DATABASE_URL", pooler.url(world.log().name()))
        .set("OUTBOX_POSTGRES_LISTEN", "false")
        .set("OUTBOX_TAIL_SLOW_POLL", "50ms");
    let mut crew = Crew::start(options, 2).await?;
    let workload = Workload {
        pause: Duration::from_millis(2),
        ..Workload::default()
    };
    let topics = workload.topics.clone();
    let mut producers = workload.start(world.log()).await?;
    // WHEN the leader is killed under load, twice
    for _ in 0..2 {
        producers.commit_more(200, LIMIT).await?;
        let leader = crew.leader().await?;
        crew.replace(leader)?;
        crew.leader().await?;
    }
    producers.commit_more(200, LIMIT).await?;
    let journal = producers.stop().await?;
    // THEN everything arrives, once and in order
    arrived(&world, &topics, LIMIT).await?;
    // AND commands work through it
    for arguments in [
        &["status"][..],
        &["topic", "list"],
        &["topic", "set", "audited", "--retention", "audit"],
    ] {
        let mut command = Relay::command(arguments)
            .set("DATABASE_URL", pooler.url(world.log().name()))
            .set("OUTBOX_POSTGRES_LISTEN", "false")
            .start()?;
        assert!(
            command.ended(LIMIT).await?.success(),
            "{arguments:?}: {}",
            command.log_tail()
        );
    }
    crew.terminate().await?;
    assert_eq!(journal.errors, Vec::<String>::new());
    judge(&world, &journal, &topics).await?.clean()
}
