//! Relays killed again and again under load (G1, G2, G4, G5).

use std::time::Duration;

use system_tests::arrival::{arrived, judge};
use system_tests::{Crew, Relay, Result, Workload, World};

const KILLS: usize = 15;
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn fifteen_kills_of_leader_and_standby_under_eight_writers_lose_double_and_turn_nothing() -> Result {
    // GIVEN eight writers and two relays
    let world = World::new().await?;
    let workload = Workload::default();
    let topics = workload.topics.clone();
    let mut crew = Crew::start(Relay::of(&world), 2).await?;
    let mut producers = workload.start(world.log()).await?;
    // WHEN the leader, and every third time the standby, is killed with SIGKILL
    let mut leaders_killed = 0;
    for kill in 0..KILLS {
        let leader = crew.leader().await?;
        producers.commit_more(30 + kill * 7, LIMIT).await?;
        let victim = if kill % 3 == 2 { 1 - leader } else { leader };
        leaders_killed += i64::from(victim == leader);
        crew.replace(victim)?;
    }
    crew.leader().await?;
    producers.commit_more(100, LIMIT).await?;
    let journal = producers.stop().await?;
    arrived(&world, &topics, LIMIT).await?;
    crew.terminate().await?;
    // THEN the streams are as if nothing had happened, and the lead did change hands
    judge(&world, &journal, &topics).await?.clean()?;
    assert_eq!(journal.errors, Vec::<String>::new(), "producers felt it");
    let epoch: i64 = sqlx::query_scalar("select epoch from outbox.lease where name = 'publish'")
        .fetch_one(&mut world.connect().await?)
        .await?;
    assert!(
        epoch > leaders_killed,
        "{leaders_killed} leaders were killed, but the lead changed hands {epoch} times"
    );
    Ok(())
}
