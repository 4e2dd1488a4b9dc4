//! Each harm while producers write, two groups apply, and a leader that was stopped wakes up in the middle of the repair.

use std::time::Duration;

use system_tests::arrival::stream_of;
use system_tests::patience::until;
use system_tests::proxy::port_of;
use system_tests::{Crew, Fault, Proxy, Relay, Result, Workload};

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

#[tokio::test]
async fn a_parcel_in_flight_of_a_stopped_leader_that_lands_after_a_flush_is_taken_for_no_beginning() -> Result
{
    // GIVEN a leader behind a link, another relay, writers, and a group that applies
    let mut scene = Scene::new(None).await?;
    let workload = Workload {
        writers: 3,
        topics: vec![TOPIC.to_owned()],
        pause: Duration::from_millis(10),
        ..Workload::default()
    };
    eprintln!("seed {}", workload.seed);
    let at = port_of(&scene.redis_url)?;
    let link = Proxy::before(at).await?;
    let direct = Relay::of(&scene.world).set("REDIS_URL", &scene.redis_url);
    let linked = direct.clone().set("REDIS_URL", link.url(&scene.redis_url, at));
    let mut crew = Crew::of(vec![linked, direct]).await?;
    if crew.leader().await? != 0 {
        crew.relay(1).kill()?;
        crew.leader_other_than(&[1]).await?;
        crew.replace(1)?;
        crew.relay(1).ready().await?;
    }
    scene.join("steady").await?;
    let mut producers = workload.start(scene.world.log()).await?;
    producers.commit_more(60, LIMIT).await?;
    scene.effects("steady", 30).await?;
    // WHEN what the leader sends is kept back, and it is stopped with a parcel on its way
    link.inflict(Fault::HoldRequests);
    producers.commit_more(5, LIMIT).await?;
    until("a parcel is on its way", LIMIT, async || {
        Ok((link.toll() > 0).then_some(()))
    })
    .await?;
    let known = scene.entries().await?.last().map(|entry| entry.id);
    crew.relay(0).pause()?;
    // AND another one leads and publishes, and is stopped as well while Redis loses everything
    crew.leader_other_than(&[0]).await?;
    producers.commit_more(30, LIMIT).await?;
    scene.effects("steady", 90).await?;
    crew.relay(1).pause()?;
    scene.ask(&["FLUSHDB"]).await?;
    assert!(link.toll() > 0, "nothing was on its way");
    link.heal();
    // THEN that parcel lands on the stream that is empty
    let redis = &mut scene.redis;
    let landed = until("the parcel lands", LIMIT, async || {
        let found = system_tests::stream::entries(&mut *redis, &stream_of(TOPIC)).await?;
        Ok((!found.is_empty()).then_some(found))
    })
    .await?;
    assert!(
        landed.iter().all(|entry| Some(entry.id) > known),
        "{landed:?}, behind {known:?}"
    );
    // WHEN both go on, THEN everything is put out again, and applied once and in order
    crew.relay(1).resume()?;
    scene.until("select exists (select from outbox.reissue)").await?;
    crew.relay(0).resume()?;
    producers.commit_more(30, LIMIT).await?;
    let journal = producers.stop().await?;
    assert_eq!(journal.errors, Vec::<String>::new(), "producers felt it");
    scene.ends_well(&journal, &["steady"]).await?;
    assert_eq!(scene.value::<i64>("select count(*) from outbox.loss").await?, 0);
    crew.terminate().await
}
