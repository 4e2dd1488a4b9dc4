//! A long transaction delays its own events only (G6).

use std::time::{Duration, Instant};

use sqlx::Executor;
use system_tests::arrival::{arrived, judge};
use system_tests::journal::{Fact, Outcome};
use system_tests::{Relay, Result, Schema, Workload, World, stream};
use uuid::Uuid;
use xtask::servers::{Postgres, Redis};

const HELD: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_transaction_of_20_s_here_and_one_in_another_database_delay_nobody_else() -> Result {
    // GIVEN two transactions with an id: one appended here and stays open, one writes in another database
    let world = World::with_own_servers(Postgres::options(), Redis::options()).await?;
    let elsewhere = world.another_database(Schema::Empty).await?;
    let (mut here, mut there) = (world.connect().await?, elsewhere.connect().await?);
    let own = Fact {
        id: Uuid::now_v7(),
        topic: "orders.placed".into(),
        key: "stranger".into(),
        number: 1,
    };
    here.execute("begin").await?;
    sqlx::query("select outbox.append($1, '{}', key => $2, id => $3)")
        .bind(&own.topic)
        .bind(&own.key)
        .bind(own.id)
        .execute(&mut here)
        .await?;
    there.execute("create table held (x int)").await?;
    there.execute("begin; insert into held values (1)").await?;
    let begun = Instant::now();
    // WHEN others commit meanwhile
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let workload = Workload {
        pause: Duration::from_millis(5),
        ..Workload::default()
    };
    let topics = workload.topics.clone();
    let mut producers = workload.start(world.log()).await?;
    // THEN what they committed arrives at once, all the time
    while begun.elapsed() < HELD {
        producers.commit_more(50, LIMIT).await?;
        arrived(&world, &topics, SOON).await?;
    }
    let mut journal = producers.stop().await?;
    let entries = stream::entries(&mut world.redis().await?, "outbox:orders.placed").await?;
    assert!(
        entries.iter().all(|entry| entry.event_id != own.id),
        "an open transaction's event was published"
    );
    // AND the held event as soon as its own transaction commits
    here.execute("commit").await?;
    journal.record(own, Outcome::Committed);
    arrived(&world, &topics, SOON).await?;
    there.execute("commit").await?;
    assert!(relay.terminate().await?.success());
    judge(&world, &journal, &topics).await?.clean()
}
