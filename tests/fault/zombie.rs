//! Relays that the scheduler forgot beyond their lease, and that come back believing they lead (G5).

use std::time::Duration;

use system_tests::arrival::{arrived, judge};
use system_tests::{Crew, Relay, Result, Workload, World};

const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn two_zombies_that_come_back_at_once_add_nothing() -> Result {
    // GIVEN three relays under load
    let world = World::new().await?;
    let workload = Workload::default();
    let topics = workload.topics.clone();
    let mut crew = Crew::start(Relay::of(&world), 3).await?;
    let mut producers = workload.start(world.log()).await?;
    for _ in 0..3 {
        producers.commit_more(100, LIMIT).await?;
        // WHEN the leader is stopped, and then the next one, each beyond its lease
        let first = crew.leader().await?;
        crew.relay(first).pause()?;
        let second = crew.leader_other_than(&[first]).await?;
        producers.commit_more(100, LIMIT).await?;
        crew.relay(second).pause()?;
        crew.leader_other_than(&[first, second]).await?;
        producers.commit_more(100, LIMIT).await?;
        // AND both go on at once in the belief that they lead
        crew.relay(first).resume()?;
        crew.relay(second).resume()?;
        producers.commit_more(100, LIMIT).await?;
        crew.relay(first).ready().await?;
        crew.relay(second).ready().await?;
    }
    let journal = producers.stop().await?;
    arrived(&world, &topics, LIMIT).await?;
    crew.terminate().await?;
    // THEN the streams are as if nothing had happened
    assert_eq!(journal.errors, Vec::<String>::new(), "producers felt it");
    judge(&world, &journal, &topics).await?.clean()
}
