//! What Postgres no longer has is said, with its range, and the rest is put out again all the same.

use sqlx::Executor;
use system_tests::arrival::{arrived, backlog, stream_of};
use system_tests::{Failure, Invocation, Relay, Result, Witness};

use crate::scene::{LIMIT, Scene, TOPIC};

#[tokio::test]
async fn what_postgres_no_longer_has_is_said_by_range_and_the_rest_is_put_out_again() -> Result {
    // GIVEN a group that is up and one that stopped, and a log that no longer has what comes between
    let mut scene = Scene::new(None).await?;
    let topics = [TOPIC.to_owned()];
    let mut relay = Relay::of(&scene.world)
        .set("OUTBOX_PUBLISH_LOOK_EVERY", "100ms")
        .start()?;
    relay.leads().await?;
    backlog(&scene.world, &topics, 1, 20, 10).await?;
    scene.join("steady").await?;
    scene.join("left").await?;
    scene.effects("left", 20).await?;
    scene.leave("left").await?;
    for _ in 0..6 {
        backlog(&scene.world, &topics, 1, 10, 10).await?;
        arrived(&scene.world, &topics, LIMIT).await?;
    }
    scene.effects("steady", 80).await?;
    let found = scene.entries().await?;
    scene
        .until("select count(*) = 2 from outbox_ops.stream_groups where last_delivered is not null")
        .await?;
    scene
        .postgres
        .execute("set session_replication_role = replica")
        .await?;
    sqlx::query("delete from outbox.log where position <= $1")
        .bind(i64::try_from(found[44].id.1)?)
        .execute(&mut scene.postgres)
        .await?;
    scene
        .postgres
        .execute("set session_replication_role = origin")
        .await?;
    // WHEN the stream is gone, and an event comes that lands there alone
    scene.ask(&["FLUSHDB"]).await?;
    let mut later = backlog(&scene.world, &topics, 1, 1, 10).await?;
    // THEN what is in a batch that the log has in part or not at all is lost, and said
    scene
        .until("select exists (select from outbox_ops.losses)")
        .await?;
    let (after, through, events): (String, String, i64) =
        sqlx::query_as("select after_entry, through_entry, events from outbox_ops.losses")
            .fetch_one(&mut scene.postgres)
            .await?;
    assert_eq!(
        (after.as_str(), through, events),
        ("0-0", found[49].id.to_string(), 50)
    );
    let missed: Vec<String> = sqlx::query_scalar("select unnest(missed_by) from outbox_ops.losses")
        .fetch_all(&mut scene.postgres)
        .await?;
    assert!(missed.contains(&"left".to_owned()), "{missed:?}");
    scene
        .until("select verdict = 'degraded' and reason like '%outbox_ops.losses%' from outbox_ops.summary")
        .await?;
    let status = Invocation::of(&scene.world, &["status"])?.ask()?;
    assert_eq!(status.code, 3, "{}", status.output);
    assert!(status.output.contains("LOST FOR GOOD"), "{}", status.output);
    assert!((relay.metric("outbox_publish_lost_events_total").await? - 50.0).abs() < 0.5);
    // AND everything behind it is there again
    scene
        .until("select exists (select from outbox_ops.reissues where state = 'done' and events = 31)")
        .await?;
    let again = scene.entries().await?;
    let first = again.iter().find(|entry| entry.previous_id == Some(found[49].id));
    let first = first
        .ok_or_else(|| Failure::new("nothing goes on behind what is lost"))?
        .id;
    // AND the group that stands before it is told, and holds
    later.merge(backlog(&scene.world, &topics, 1, 10, 10).await?);
    scene.join("left").await?;
    scene.until("select exists (select from outbox_ops.holes where state = 'refused' and reason like '%outbox_ops.losses%')").await?;
    assert_eq!(scene.effects("left", 20).await?.len(), 20);
    assert_eq!(scene.effects("steady", 91).await?.len(), 91);
    // WHEN a person passes it THEN it has the rest, in order
    let held: String = scene.value("select held from outbox_ops.holes").await?;
    assert_eq!(
        held,
        first.to_string(),
        "what was put out again is the first of the chain, whatever has a lower id"
    );
    let stream = stream_of(TOPIC);
    let pass = [
        "consumer",
        "pass-hole",
        "--group",
        "left",
        "--stream",
        &stream,
        "--entry",
        &held,
    ];
    let pass = [&pass[..], &["--reason", "counted by hand", "--yes"]].concat();
    let passed = Invocation::of(&scene.world, &pass)?.ask()?;
    assert_eq!(passed.code, 0, "{}", passed.errors);
    let done = scene.effects("left", 61).await?;
    scene.nothing_is_missed().await?;
    later.merge(backlog(&scene.world, &topics, 1, 1, 10).await?);
    assert_eq!(done.len(), 61);
    // AND a group that comes now begins behind it, without a person
    scene.join("late").await?;
    assert_eq!(scene.effects("late", 42).await?.len(), 42);
    scene.nothing_is_missed().await?;
    // What came later, among the rest: keys are applied beside each other.
    let mut since = scene.effects("left", 62).await?;
    since.retain(|id| later.get(id).is_some());
    Witness::new(&later)
        .effects("left", &[TOPIC], since)
        .verdict()
        .clean()
}

#[tokio::test]
async fn a_stream_of_which_postgres_has_nothing_goes_on_with_what_comes() -> Result {
    // GIVEN a quiet stream that a group has passed, and a log that has dropped all of it
    let mut scene = Scene::new(None).await?;
    let topics = [TOPIC.to_owned()];
    let _relay = scene.relay().await?;
    backlog(&scene.world, &topics, 2, 20, 10).await?;
    scene.join("reader").await?;
    scene.effects("reader", 40).await?;
    // What is applied last is recorded as passed a moment later.
    scene
        .until(
            "select (select passed_entry from outbox_ops.inbox) = (select last_entry from outbox_ops.topics)",
        )
        .await?;
    scene
        .postgres
        .execute("set session_replication_role = replica")
        .await?;
    scene.postgres.execute("delete from outbox.log").await?;
    scene
        .postgres
        .execute("set session_replication_role = origin")
        .await?;
    // WHEN it is gone THEN that is said, and nothing waits for it
    scene.ask(&["FLUSHDB"]).await?;
    scene
        .until("select exists (select from outbox_ops.losses where events = 40)")
        .await?;
    scene
        .until("select state = 'moving' from outbox_ops.topics")
        .await?;
    let journal = backlog(&scene.world, &topics, 1, 10, 10).await?;
    let done = scene.effects("reader", 50).await?.split_off(40);
    assert_eq!(
        scene.value::<i64>("select count(*) from outbox.reissue").await?,
        0
    );
    scene.nothing_is_missed().await?;
    Witness::new(&journal)
        .effects("reader", &[TOPIC], done)
        .verdict()
        .clean()
}
