//! Each harm while producers write, two groups apply, and a leader that was stopped wakes up in the middle of the repair.

use std::time::Duration;

use system_tests::{Result, Workload};

use crate::harm::Harm;
use crate::scene::{LIMIT, Scene, TOPIC};

/// Whether a leader that lost its lease wakes up in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zombie {
    Wakes,
    Not,
}

async fn survives(harm: Harm, zombie: Zombie) -> Result {
    // GIVEN writers, relays, and two groups that apply
    let mut scene = Scene::new(harm.server()).await?;
    let workload = Workload {
        writers: 3,
        topics: vec![TOPIC.to_owned()],
        pause: Duration::from_millis(10),
        ..Workload::default()
    };
    eprintln!("seed {}", workload.seed);
    let mut crew = scene.crew(2).await?;
    scene.join("steady").await?;
    scene.join("shaky").await?;
    let mut producers = workload.start(scene.world.log()).await?;
    producers.commit_more(60, LIMIT).await?;
    scene.effects("steady", 30).await?;
    scene.effects("shaky", 30).await?;
    let prepared = harm.prepare(&mut scene).await?;
    // One of the groups is away while it happens, so that they stand at different places.
    scene.leave("shaky").await?;
    producers.commit_more(60, LIMIT).await?;
    let former = crew.leader().await?;
    if zombie == Zombie::Wakes {
        crew.relay(former).pause()?;
        crew.leader_other_than(&[former]).await?;
        producers.commit_more(30, LIMIT).await?;
    }
    let before: i64 = scene.value("select count(*) from outbox.progress").await?;
    assert!(before > 0, "nothing was published before");
    // WHEN Redis loses what it had
    prepared.inflict(&mut scene).await?;
    if zombie == Zombie::Wakes {
        scene
            .until("select exists (select from outbox.stream_action where action = 'lost') or exists (select from outbox.reissue)")
            .await?;
        crew.relay(former).resume()?;
    }
    producers.commit_more(30, LIMIT).await?;
    scene.join("shaky").await?;
    scene.until("select exists (select from outbox.reissue)").await?;
    producers.commit_more(30, LIMIT).await?;
    let journal = producers.stop().await?;
    // THEN both groups have everything once, in order, without a person
    assert_eq!(journal.errors, Vec::<String>::new(), "producers felt it");
    scene.ends_well(&journal, &["steady", "shaky"]).await?;
    assert_eq!(scene.value::<i64>("select count(*) from outbox.loss").await?, 0);
    assert_eq!(
        scene
            .value::<i64>("select count(*) from outbox.stream_action where action not in ('lost', 'resume')")
            .await?,
        0
    );
    crew.terminate().await
}

#[tokio::test]
async fn a_flush_is_repaired() -> Result {
    survives(Harm::Flush, Zombie::Not).await
}

#[tokio::test]
async fn a_flush_is_repaired_though_a_zombie_wakes_in_it() -> Result {
    survives(Harm::Flush, Zombie::Wakes).await
}

#[tokio::test]
async fn a_deleted_stream_is_repaired_though_a_zombie_wakes_in_it() -> Result {
    survives(Harm::Delete, Zombie::Wakes).await
}

#[tokio::test]
async fn a_tail_cut_from_the_append_only_file_is_repaired_though_a_zombie_wakes_in_it() -> Result {
    survives(Harm::CutAppendOnlyFile, Zombie::Wakes).await
}

#[tokio::test]
async fn a_restart_without_persistence_is_repaired_though_a_zombie_wakes_in_it() -> Result {
    survives(Harm::RestartEmpty, Zombie::Wakes).await
}

#[tokio::test]
async fn a_stale_replica_that_was_promoted_is_repaired_though_a_zombie_wakes_in_it() -> Result {
    survives(Harm::StaleReplica, Zombie::Wakes).await
}

#[tokio::test]
async fn an_older_copy_of_a_stream_is_repaired_though_a_zombie_wakes_in_it() -> Result {
    survives(Harm::OlderCopy, Zombie::Wakes).await
}
