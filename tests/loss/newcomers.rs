//! Groups that begin on a stream that is not whole: what was lost they have first, what was trimmed they do not wait for.

use system_tests::arrival::{arrived, backlog, stream_of};
use system_tests::patience::until;
use system_tests::{Invocation, Relay, Result, Witness};

use crate::scene::{LIMIT, Scene, TOPIC};

fn topics() -> [String; 1] {
    [TOPIC.to_owned()]
}

#[tokio::test]
async fn a_group_that_begins_on_a_stream_without_its_beginning_has_that_first() -> Result {
    // GIVEN a stream that lost its first ten entries, which nobody had read
    let mut scene = Scene::new(None).await?;
    let _relay = scene.relay().await?;
    let journal = backlog(&scene.world, &topics(), 3, 20, 10).await?;
    arrived(&scene.world, &topics(), LIMIT).await?;
    let ids: Vec<String> = scene.entries().await?[..10]
        .iter()
        .map(|entry| entry.id.to_string())
        .collect();
    for id in &ids {
        scene.ask(&["XDEL", &stream_of(TOPIC), id]).await?;
    }
    // WHEN a group begins THEN it has all of it once, those of a key in order
    scene.join("late").await?;
    scene.ends_well(&journal, &["late"]).await
}

#[tokio::test]
async fn a_group_that_begins_where_the_hard_cap_took_the_beginning_waits_for_nothing() -> Result {
    // GIVEN a stream of which the hard cap took what nobody had read
    let mut scene = Scene::new(None).await?;
    let mut relay = Relay::of(&scene.world)
        .set("OUTBOX_PUBLISH_LOOK_EVERY", "100ms")
        .start()?;
    relay.leads().await?;
    let set = ["topic", "set", TOPIC, "--stream-cap", "10"];
    assert_eq!(Invocation::of(&scene.world, &set)?.ask()?.code, 0);
    let journal = backlog(&scene.world, &topics(), 3, 20, 10).await?;
    scene
        .until("select floor is not null and length <= 10 from outbox_ops.streams")
        .await?;
    let left: Vec<_> = scene
        .entries()
        .await?
        .iter()
        .map(|entry| entry.event_id)
        .collect();
    assert!(left.len() <= 10 && journal.committed().count() == 60, "{left:?}");
    // WHEN a group begins THEN it has what is there
    scene.join("late").await?;
    let done = scene.effects("late", left.len()).await?;
    assert_eq!(sorted(done), sorted(left));
    scene.nothing_is_missed().await
}

fn sorted(mut ids: Vec<uuid::Uuid>) -> Vec<uuid::Uuid> {
    ids.sort_unstable();
    ids
}

/// Twenty events on a topic's only stream, which then grew, and forty on the streams since.
async fn grown(scene: &Scene) -> Result<system_tests::Journal> {
    backlog(&scene.world, &topics(), 1, 20, 10).await?;
    arrived(&scene.world, &topics(), LIMIT).await?;
    let set = ["topic", "set", TOPIC, "--partitions", "2"];
    assert_eq!(Invocation::of(&scene.world, &set)?.ask()?.code, 0);
    backlog(&scene.world, &topics(), 2, 20, 10).await
}

#[tokio::test]
async fn an_older_stream_that_vanished_before_a_group_read_any_of_it_holds_the_newer_ones() -> Result {
    // GIVEN a topic that grew, whose older stream vanishes while no relay leads
    let mut scene = Scene::new(None).await?;
    let mut relay = scene.relay().await?;
    grown(&scene).await?;
    scene
        .until("select count(*) = 3 and bool_and(passed_position is not null) from outbox_ops.topics")
        .await?;
    let mut redis = scene.redis.clone();
    until("the newer streams are there", LIMIT, async || {
        let lengths: (u64, u64) = redis::pipe()
            .cmd("XLEN")
            .arg(format!("{}:0", stream_of(TOPIC)))
            .cmd("XLEN")
            .arg(format!("{}:1", stream_of(TOPIC)))
            .query_async(&mut redis)
            .await?;
        Ok((lengths.0 + lengths.1 == 40).then_some(()))
    })
    .await?;
    relay.terminate().await?;
    let end: String = scene
        .entries()
        .await?
        .last()
        .map(|entry| entry.id.to_string())
        .unwrap_or_default();
    scene.ask(&["DEL", &stream_of(TOPIC)]).await?;
    // WHEN a group begins THEN it asks for the end of that stream, and applies nothing of the newer ones
    scene.join("fresh").await?;
    until("the group asks for the end", LIMIT, async || {
        let asked: Option<String> = redis::cmd("HGET")
            .arg("outbox:@holes")
            .arg(format!("{}|fresh", stream_of(TOPIC)))
            .query_async(&mut redis)
            .await?;
        Ok(asked.filter(|asked| asked.contains(&end)).map(drop))
    })
    .await?;
    assert_eq!(scene.value::<i64>("select count(*) from public.effect").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_group_that_comes_after_an_older_stream_was_lost_for_good_begins_with_the_newer_ones() -> Result {
    // GIVEN a topic that grew, and whose older stream was lost for good before anybody read it
    let mut scene = Scene::new(None).await?;
    let _relay = scene.relay().await?;
    let newer = grown(&scene).await?;
    scene
        .until("select count(*) = 3 and bool_and(passed_position is not null) from outbox_ops.topics")
        .await?;
    scene.ask(&["DEL", &stream_of(TOPIC)]).await?;
    scene
        .until("select exists (select from outbox_ops.losses where why = 'generation')")
        .await?;
    // WHEN a group begins THEN the relay tells it so, and it has the rest, each once and those of a key in order
    scene.join("fresh").await?;
    let done = scene.effects("fresh", 40).await?;
    Witness::new(&newer)
        .effects("fresh", &[TOPIC], done)
        .verdict()
        .clean()?;
    until("nobody asks", LIMIT, async || {
        let asked: i64 = redis::cmd("HLEN")
            .arg("outbox:@holes")
            .query_async(&mut scene.redis)
            .await?;
        Ok((asked == 0).then_some(()))
    })
    .await
}
