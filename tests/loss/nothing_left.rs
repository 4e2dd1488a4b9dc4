//! Nothing is left before what is missing: a stream that is quiet, trimmed, new to a group, divided, or trimmed by hand.

use system_tests::arrival::{arrived, backlog, stream_of};
use system_tests::stream::{Entry, EntryId};
use system_tests::{Invocation, Relay, Result};

use crate::scene::{LIMIT, Scene, TOPIC};

fn topics() -> [String; 1] {
    [TOPIC.to_owned()]
}

#[tokio::test]
async fn a_stream_that_lost_everything_while_nothing_happens_is_found_by_the_schedule() -> Result {
    // GIVEN a stream on which nothing happens any more, and that nobody reads
    let mut scene = Scene::new(None).await?;
    let relay = scene.relay().await?;
    let journal = backlog(&scene.world, &topics(), 3, 40, 10).await?;
    arrived(&scene.world, &topics(), LIMIT).await?;
    scene
        .until("select passed_position > 0 from outbox_ops.topics")
        .await?;
    // WHEN it is gone THEN everything is put out again, from its beginning on
    scene.ask(&["FLUSHDB"]).await?;
    scene
        .until("select exists (select from outbox_ops.reissues where state = 'done' and kept = '0-0')")
        .await?;
    assert!(relay.metric("outbox_publish_lost_streams_total").await? >= 1.0);
    // AND a group that comes later has all of it, as one that had none
    scene.join("late").await?;
    scene.ends_well(&journal, &["late"]).await
}

#[tokio::test]
async fn a_leader_that_takes_over_finds_what_was_lost_while_nobody_led() -> Result {
    // GIVEN a relay that was killed, and a stream that vanished then
    let mut scene = Scene::new(None).await?;
    let mut relay = scene.relay().await?;
    let journal = backlog(&scene.world, &topics(), 2, 40, 10).await?;
    arrived(&scene.world, &topics(), LIMIT).await?;
    scene
        .until("select passed_position > 0 from outbox_ops.topics")
        .await?;
    relay.kill()?;
    scene.ask(&["DEL", &stream_of(TOPIC)]).await?;
    // WHEN another one leads THEN it is put out again
    let _relay = scene.relay().await?;
    scene.join("reader").await?;
    scene.ends_well(&journal, &["reader"]).await
}

#[tokio::test]
async fn a_group_that_made_a_lost_stream_begins_at_the_floor_of_what_was_trimmed() -> Result {
    // GIVEN a stream of which a group has passed everything, and that was trimmed
    let mut scene = Scene::new(None).await?;
    let mut relay = Relay::of(&scene.world)
        .set("OUTBOX_PUBLISH_LOOK_EVERY", "100ms")
        .start()?;
    relay.leads().await?;
    let trimmed = backlog(&scene.world, &topics(), 1, 30, 10).await?;
    scene.join("first").await?;
    scene.effects("first", 30).await?;
    // Not before: what nobody waits for yet is trimmed however slowly a group begins.
    let set = ["topic", "set", TOPIC, "--stream-retention", "1s"];
    assert_eq!(Invocation::of(&scene.world, &set)?.ask()?.code, 0);
    backlog(&scene.world, &topics(), 1, 1, 10).await?;
    scene
        .until("select floor is not null and length <= 1 from outbox_ops.streams")
        .await?;
    let set = ["topic", "set", TOPIC, "--stream-retention", "7d"];
    assert_eq!(Invocation::of(&scene.world, &set)?.ask()?.code, 0);
    let mut kept = backlog(&scene.world, &topics(), 1, 20, 10).await?;
    scene.effects("first", 51).await?;
    scene.leave("first").await?;
    // WHEN it vanishes, while no relay leads, and a new group makes it before there is anything on it
    relay.kill()?;
    scene.ask(&["FLUSHDB"]).await?;
    scene.join("second").await?;
    scene
        .until(
            "select exists (select from outbox_ops.inbox where consumer = 'second' and passed_entry = '0-0')",
        )
        .await?;
    let _relay = scene.relay().await?;
    // THEN the new group begins with what stood above the floor
    scene.effects("second", 20).await?;
    // AND the other one has what comes, and nothing twice
    kept.merge(backlog(&scene.world, &topics(), 1, 10, 10).await?);
    scene.join("first").await?;
    let done = scene.effects("first", 61).await?;
    assert_eq!(done.len(), 61);
    scene.nothing_is_missed().await?;
    let second = scene.effects("second", 30).await?;
    let expected = kept.committed().filter(|fact| !second.contains(&fact.id)).count();
    assert_eq!(expected, 0, "what the second group lacks");
    // AND what was trimmed is not put out again
    let again = trimmed
        .committed()
        .filter(|fact| second.contains(&fact.id))
        .count();
    assert_eq!(again, 0, "trimmed before, and put out again");
    assert_eq!(scene.value::<i64>("select count(*) from outbox.loss").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_first_entry_that_vanished_is_put_out_again_behind_nothing() -> Result {
    // GIVEN a group that was there before anything was on the stream, and is away
    let mut scene = Scene::new(None).await?;
    let _relay = scene.relay().await?;
    scene.join("reader").await?;
    scene
        .until("select exists (select from outbox_ops.inbox where passed_entry = '0-0')")
        .await?;
    scene.leave("reader").await?;
    let journal = backlog(&scene.world, &topics(), 1, 20, 10).await?;
    arrived(&scene.world, &topics(), LIMIT).await?;
    let first = scene.entries().await?[0].id;
    // WHEN the first entry vanishes THEN all of it is put out again
    scene
        .ask(&["XDEL", &stream_of(TOPIC), &first.to_string()])
        .await?;
    scene.join("reader").await?;
    scene.ends_well(&journal, &["reader"]).await
}

#[tokio::test]
async fn a_stream_trimmed_by_hand_past_a_slow_group_is_put_out_again_for_it() -> Result {
    // GIVEN a group that is up and one that stopped at the beginning
    let mut scene = Scene::new(None).await?;
    let _relay = scene.relay().await?;
    let mut journal = backlog(&scene.world, &topics(), 1, 20, 10).await?;
    scene.join("quick").await?;
    scene.join("slow").await?;
    scene.effects("slow", 20).await?;
    scene.leave("slow").await?;
    journal.merge(backlog(&scene.world, &topics(), 2, 40, 10).await?);
    scene.effects("quick", 100).await?;
    // WHEN somebody trims it
    scene.ask(&["XTRIM", &stream_of(TOPIC), "MAXLEN", "5"]).await?;
    scene.join("slow").await?;
    journal.merge(backlog(&scene.world, &topics(), 1, 20, 10).await?);
    // THEN the slow one has everything
    for group in ["quick", "slow"] {
        scene.effects(group, 120).await?;
    }
    scene.nothing_is_missed().await?;
    for group in ["quick", "slow"] {
        assert_eq!(scene.effects(group, 120).await?.len(), 120);
    }
    Ok(())
}

/// The entries of one partition.
async fn partition(scene: &mut Scene, number: usize) -> Result<Vec<Entry>> {
    system_tests::stream::entries(&mut scene.redis, &format!("{}:{number}", stream_of(TOPIC))).await
}

#[tokio::test]
async fn a_topic_with_partitions_that_was_flushed_is_put_out_again_each_by_itself() -> Result {
    // GIVEN a topic of three partitions, with groups at different places
    let mut scene = Scene::new(None).await?;
    let _relay = scene.relay().await?;
    let set = ["topic", "set", TOPIC, "--partitions", "3"];
    assert_eq!(Invocation::of(&scene.world, &set)?.ask()?.code, 0);
    let mut journal = backlog(&scene.world, &topics(), 1, 60, 10).await?;
    scene.join("steady").await?;
    scene.join("shaky").await?;
    scene.effects("steady", 60).await?;
    scene.effects("shaky", 60).await?;
    scene.leave("shaky").await?;
    journal.merge(backlog(&scene.world, &topics(), 2, 60, 10).await?);
    scene.effects("steady", 180).await?;
    // WHEN all of it is gone, with its layout
    scene.ask(&["FLUSHDB"]).await?;
    scene
        .until("select count(*) = 3 from outbox_ops.reissues")
        .await?;
    scene.join("shaky").await?;
    journal.merge(backlog(&scene.world, &topics(), 1, 60, 10).await?);
    // THEN each stream is there again from its beginning, and each group has everything once
    for group in ["steady", "shaky"] {
        let done = scene.effects(group, 240).await?;
        system_tests::Witness::new(&journal)
            .effects(group, &[TOPIC], done)
            .verdict()
            .clean()?;
    }
    scene.nothing_is_missed().await?;
    for number in 0..3 {
        let found = partition(&mut scene, number).await?;
        assert_eq!(found[0].previous_id, None);
        assert!(
            found
                .windows(2)
                .all(|pair| pair[1].previous_id == Some(pair[0].id))
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_topic_that_grew_and_was_flushed_has_what_came_since_and_says_what_it_lost_before() -> Result {
    // GIVEN a topic that grew, a group that has everything, and one that stopped before
    let mut scene = Scene::new(None).await?;
    let _relay = scene.relay().await?;
    let mut journal = backlog(&scene.world, &topics(), 1, 40, 10).await?;
    scene.join("steady").await?;
    scene.join("left").await?;
    scene.effects("left", 40).await?;
    scene.leave("left").await?;
    journal.merge(backlog(&scene.world, &topics(), 1, 20, 10).await?);
    scene.effects("steady", 60).await?;
    let set = ["topic", "set", TOPIC, "--partitions", "2"];
    assert_eq!(Invocation::of(&scene.world, &set)?.ask()?.code, 0);
    journal.merge(backlog(&scene.world, &topics(), 1, 60, 10).await?);
    scene.effects("steady", 120).await?;
    let end = scene.entries().await?.last().map(|entry| entry.id);
    // WHEN all of it is gone
    scene.ask(&["FLUSHDB"]).await?;
    scene
        .until("select count(*) = 2 from outbox_ops.reissues")
        .await?;
    // THEN what it had before it grew is said, with its range
    scene
        .until("select exists (select from outbox_ops.losses where why = 'generation')")
        .await?;
    let (through, events): (String, i64) =
        sqlx::query_as("select through_entry, events from outbox_ops.losses")
            .fetch_one(&mut scene.postgres)
            .await?;
    assert_eq!((EntryId::parse(&through), events), (end, 60));
    // AND whoever had passed that goes on
    journal.merge(backlog(&scene.world, &topics(), 1, 30, 10).await?);
    let done = scene.effects("steady", 150).await?;
    system_tests::Witness::new(&journal)
        .effects("steady", &[TOPIC], done)
        .verdict()
        .clean()?;
    scene
        .until("select not exists (select from outbox_ops.topics where state in ('lost', 'set_aside'))")
        .await
}
