//! What somebody put on a stream by hand, in the shape of a relay's entries: where the mark beside it is of this ledger, one stream stops.
//! Without a mark nobody can tell it from a past that the database has lost, and everything does.

use system_tests::past::{LIMIT, STREAM, Scene};
use system_tests::patience::until;
use system_tests::stream::Entry;
use system_tests::{Result, stream};
use uuid::Uuid;
use xtask::servers::Postgres;

const OTHER: &str = "orders.seen";

/// Five events are published; the last entry is laid down again with another event in it.
async fn another_event_at_the_end() -> Result<(Scene, Entry)> {
    let mut scene = Scene::new(Postgres::options()).await?;
    scene.known = scene.publish(5).await?;
    let mut entries = scene.entries().await?;
    redis::cmd("DEL")
        .arg(STREAM)
        .query_async::<()>(&mut scene.redis)
        .await?;
    let last = entries
        .pop()
        .ok_or_else(|| system_tests::Failure::new("no entry"))?;
    let strange = last
        .json
        .replace(&last.event_id.to_string(), &Uuid::now_v7().to_string());
    let laid = entries.iter().map(|entry| (entry.id, entry.json.clone()));
    for (id, json) in laid.chain([(last.id, strange)]) {
        redis::cmd("XADD")
            .arg(STREAM)
            .arg(id.to_string())
            .arg(&["event", &json])
            .query_async::<()>(&mut scene.redis)
            .await?;
    }
    Ok((scene, last))
}

#[tokio::test]
async fn an_entry_with_another_event_at_its_position_is_noticed() -> Result {
    // GIVEN a stream whose last entry has an id of ours and another event, and whose mark is gone
    let (mut scene, _) = another_event_at_the_end().await?;
    redis::cmd("DEL")
        .arg("outbox:@mark:orders.placed")
        .query_async::<()>(&mut scene.redis)
        .await?;
    // WHEN a relay takes the lead, THEN it refuses and says what is not so
    scene.append(1).await?;
    let mut relay = scene.relay().start()?;
    relay
        .not_ready_because("the log has another event at its position")
        .await?;
    assert_eq!(scene.entries().await?.len(), 5);
    Ok(())
}

#[tokio::test]
async fn a_strangers_entry_behind_a_mark_of_ours_stops_that_stream_alone() -> Result {
    // GIVEN an event of ours that somebody read and put on its stream once more, predecessor and all
    let mut scene = Scene::new(Postgres::options()).await?;
    scene.known = scene.publish(5).await?;
    let entries = scene.entries().await?;
    let id: String = redis::cmd("XADD")
        .arg(&[STREAM, "*", "event", &entries[3].json])
        .query_async(&mut scene.redis)
        .await?;
    // WHEN a relay takes the lead
    let waiting = scene.append(1).await?;
    let other = scene.append_to(OTHER, 1).await?;
    let mut relay = scene.relay().start()?;
    // THEN it leads, that stream is set aside with the reason, and the others go on
    relay.leads().await?;
    let redis = &mut scene.redis;
    until("the other stream goes on", LIMIT, async || {
        let entries = stream::entries(redis, "outbox:orders.seen").await?;
        Ok((entries.len() == 1 && entries[0].event_id == other[0]).then_some(()))
    })
    .await?;
    let mut connection = scene.connect().await?;
    let (action, reason): (String, String) = sqlx::query_as(
        "select action, reason from outbox.stream_action where topic = 'orders.placed' order by number desc limit 1",
    )
    .fetch_one(&mut connection)
    .await?;
    assert_eq!(action, "set_aside");
    assert!(reason.contains(&format!("XDEL {STREAM} {id}")), "{reason}");
    assert_eq!(scene.entries().await?.len(), 6);
    // WHEN it is taken off and the topic resumed, THEN the stream goes on
    redis::cmd("XDEL")
        .arg(&[STREAM, &id])
        .query_async::<()>(&mut scene.redis)
        .await?;
    let resumed = scene.ask(&["topic", "resume", "orders.placed", "--reason", "taken off"])?;
    assert_eq!(resumed.code, 0, "{}{}", resumed.output, resumed.errors);
    let expected = [scene.known.clone(), waiting].concat();
    assert_eq!(scene.arrived(6).await?, expected);
    Ok(())
}
