//! What each choice comes to, where positions were used again for other events.

use std::collections::BTreeSet;

use system_tests::patience::until;
use system_tests::{Failure, Result};
use uuid::Uuid;

use system_tests::past::{LIMIT, Past, STREAM, Scene};

/// A base backup was started, and a hundred other events have positions that thirty published ones had.
async fn positions_used_again() -> Result<(Scene, Vec<Uuid>)> {
    let scene = Scene::after(Past::BaseBackup).await?;
    let newer = scene.append(100).await?;
    let mut relay = scene.relay().start()?;
    relay.not_ready_because("STREAM-IS-AHEAD").await?;
    relay.terminate().await?;
    Ok((scene, newer))
}

async fn kept(scene: &Scene, fate: &str) -> Result<Vec<Uuid>> {
    let mut connection = scene.connect().await?;
    Ok(sqlx::query_scalar(
        "select event_id::uuid from outbox.unknown_entry where fate = $1 and octet_length(contents[1]) > 0 order by batch_id, position",
    )
    .bind(fate)
    .fetch_all(&mut connection)
    .await?)
}

/// Each entry names the one before it.
async fn is_a_chain(scene: &mut Scene) -> Result {
    let entries = scene.entries().await?;
    for pair in entries.windows(2) {
        assert_eq!(
            pair[1].previous_id,
            Some(pair[0].id),
            "{} follows {}",
            pair[1].id,
            pair[0].id
        );
    }
    Ok(())
}

#[tokio::test]
async fn where_the_database_is_right_the_stream_has_what_it_has() -> Result {
    let (mut scene, newer) = positions_used_again().await?;
    scene.apply("trust-database")?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let expected = [scene.known.clone(), newer].concat();
    assert_eq!(scene.arrived(expected.len()).await?, expected);
    is_a_chain(&mut scene).await?;
    assert_eq!(kept(&scene, "removed").await?, scene.unknown);
    Ok(())
}

#[tokio::test]
async fn where_the_stream_is_right_it_keeps_what_it_has() -> Result {
    let (mut scene, newer) = positions_used_again().await?;
    scene.apply("trust-stream")?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let expected = [scene.known.clone(), scene.unknown.clone(), newer].concat();
    assert_eq!(scene.arrived(expected.len()).await?, expected);
    is_a_chain(&mut scene).await?;
    assert_eq!(kept(&scene, "accepted").await?, scene.unknown);
    // AND nobody gets a position that was seen
    let entries = scene.entries().await?;
    let positions: BTreeSet<u64> = entries.iter().map(|entry| entry.id.1).collect();
    let more = scene.append(1).await?;
    scene.arrived(expected.len() + 1).await?;
    let last = scene
        .entries()
        .await?
        .last()
        .map(|entry| (entry.event_id, entry.id.1));
    assert_eq!(last.map(|(event, _)| event), more.first().copied());
    assert!(last.is_some_and(|(_, position)| positions.iter().all(|seen| *seen < position)));
    Ok(())
}

#[tokio::test]
async fn everything_is_put_out_again() -> Result {
    let (mut scene, newer) = positions_used_again().await?;
    scene.apply("republish")?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let everything = [scene.known.clone(), newer].concat();
    let expected = [scene.known.clone(), everything].concat();
    assert_eq!(scene.arrived(expected.len()).await?, expected);
    // AND it begins anew: a group that stands before the beginning of the stream is served by it too
    let entries = scene.entries().await?;
    let anew = &entries[scene.known.len()].json;
    assert!(anew.contains(r#""previousid":"0-0""#), "{anew}");
    for pair in entries[scene.known.len()..].windows(2) {
        assert_eq!(pair[1].previous_id, Some(pair[0].id));
    }
    Ok(())
}

#[tokio::test]
async fn what_was_cut_and_not_published_comes_with_ids_that_the_stream_takes() -> Result {
    // GIVEN a database that went back, and a relay that cut what is newer before it could look at the streams
    let mut scene = Scene::after(Past::BaseBackup).await?;
    let newer = scene.append(100).await?;
    let mut connection = scene.connect().await?;
    scene.world.redis_server()?.pause()?;
    let mut relay = scene.relay().start()?;
    until("it is cut", LIMIT, async || {
        let cut: bool = sqlx::query_scalar(
            "select exists (select from outbox.share s where s.topic = 'orders.placed' and s.event_count = 100)",
        )
        .fetch_one(&mut connection)
        .await?;
        Ok(cut.then_some(()))
    })
    .await?;
    scene.world.redis_server()?.resume()?;
    relay.not_ready_because("STREAM-IS-AHEAD").await?;
    relay.terminate().await?;
    // AND more that nobody cut
    let more = scene.append(10).await?;
    scene.apply("trust-stream")?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let expected = [scene.known.clone(), scene.unknown.clone(), newer, more].concat();
    assert_eq!(scene.arrived(expected.len()).await?, expected);
    is_a_chain(&mut scene).await
}

#[tokio::test]
async fn what_comes_next_has_ids_above_those_of_a_server_whose_clock_was_ahead() -> Result {
    // GIVEN a database that went back, and a stream that ends with an id an hour ahead of its clock
    let mut scene = Scene::after(Past::BaseBackup).await?;
    let newer = scene.append(5).await?;
    let last = scene
        .entries()
        .await?
        .pop()
        .ok_or_else(|| Failure::new("an empty stream"))?;
    let previous = last.previous_id.map(|id| id.to_string()).unwrap_or_default();
    let event = Uuid::now_v7();
    let json = last
        .json
        .replace(&last.event_id.to_string(), &event.to_string())
        .replace(&previous, &last.id.to_string());
    redis::cmd("XADD")
        .arg(&[
            STREAM,
            &format!("{}-{}", last.id.0 + 3_600_000, last.id.1 + 1),
            "event",
            &json,
        ])
        .query_async::<()>(&mut scene.redis)
        .await?;
    // WHEN the stream is taken for right
    scene.apply("trust-stream")?;
    // THEN what comes next stands behind that
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let more = scene.append(1).await?;
    let expected = [
        scene.known.clone(),
        scene.unknown.clone(),
        vec![event],
        newer,
        more,
    ]
    .concat();
    assert_eq!(scene.arrived(expected.len()).await?, expected);
    is_a_chain(&mut scene).await
}

#[tokio::test]
async fn where_nothing_differs_there_is_nothing_to_choose() -> Result {
    let mut scene = Scene::new(xtask::servers::Postgres::options()).await?;
    scene.known = scene.publish(3).await?;
    for strategy in ["continue", "trust-database", "trust-stream"] {
        let answer = scene.ask(&[
            "recover",
            "apply",
            "--strategy",
            strategy,
            "--reason",
            "x",
            "--yes",
        ])?;
        assert_eq!(answer.code, 4, "{strategy}: {}", answer.errors);
        assert!(answer.errors.contains("agree"), "{}", answer.errors);
    }
    // AND while a relay leads, nothing is done at all
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let answer = scene.ask(&[
        "recover",
        "apply",
        "--strategy",
        "republish",
        "--reason",
        "x",
        "--yes",
    ])?;
    assert_eq!(answer.code, 4, "{}", answer.errors);
    assert!(answer.errors.contains("a relay leads"), "{}", answer.errors);
    Ok(())
}
