//! A relay that is told to end under load (row 50 of docs/faults.md).

use system_tests::{Relay, Result, World};

use crate::scene::{LIMIT, Scene, moderate};

#[tokio::test]
async fn a_relay_that_is_told_to_end_under_load_hands_over_at_once() -> Result {
    // GIVEN relays whose lease is longer than anybody here would wait
    let world = World::new().await?;
    let options = Relay::of(&world).set("OUTBOX_TAIL_LEASE_TTL", "120s");
    let mut scene = Scene::begin_with(world, options, 2, moderate()).await?;
    let mut changed = 0;
    for _ in 0..4 {
        // WHEN the leader is told to end
        let leader = scene.crew.leader().await?;
        let status = scene.crew.relay(leader).terminate().await?;
        assert!(status.success(), "it ended with {status}");
        // THEN the other one leads long before the lease would be over
        scene.crew.leader_other_than(&[leader]).await?;
        scene.crew.replace(leader)?;
        scene.crew.relay(leader).ready().await?;
        scene.producers.commit_more(50, LIMIT).await?;
        changed += 1;
    }
    assert_eq!(changed, 4);
    let journal = scene.ends_well().await?;
    assert_eq!(journal.errors, Vec::<String>::new(), "producers felt it");
    Ok(())
}
