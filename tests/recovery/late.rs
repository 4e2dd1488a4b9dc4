//! Entries that land between the look at a stream and the era.

use sqlx::{Connection, Executor};
use system_tests::Result;
use system_tests::past::{Past, STREAM, Scene};

use xtask::servers::Postgres;

use crate::apply::{AtWork, ON_LOG};

/// Puts an entry of a relay's on the stream that the ledger never cut, behind the last one.
async fn lands(scene: &mut Scene) -> Result<String> {
    let entries = scene.entries().await?;
    let last = entries
        .last()
        .ok_or_else(|| system_tests::Failure::new("the stream is empty"))?;
    let before = last.previous_id.map(|id| id.to_string()).unwrap_or_default();
    let json = last
        .json
        .replace(&last.event_id.to_string(), &uuid::Uuid::now_v7().to_string())
        .replace(&before, &last.id.to_string());
    let generated: redis::streams::StreamInfoStreamReply = redis::cmd("XINFO")
        .arg(&["STREAM", STREAM])
        .query_async(&mut scene.redis)
        .await?;
    let top: u64 = generated
        .last_generated_id
        .split('-')
        .next()
        .unwrap_or_default()
        .parse()?;
    Ok(redis::cmd("XADD")
        .arg(STREAM)
        .arg(format!("{}-1", top + 1))
        .arg("event")
        .arg(&json)
        .query_async(&mut scene.redis)
        .await?)
}

async fn is_judged(strategy: &str, fate: &str) -> Result {
    let mut scene = Scene::after(Past::BaseBackup).await?;
    let newer = scene.append(5).await?;
    // GIVEN a recovery that has looked at the streams, and waits for somebody who appended
    let mut connection = scene.connect().await?;
    let mut holding = connection.begin().await?;
    holding
        .execute("select outbox.append('another.topic', '{}')")
        .await?;
    let mut recovering = AtWork::start(&scene, strategy)?;
    recovering.waits(&scene, ON_LOG).await?;
    // WHEN a relay that nobody stopped puts an entry there
    let id = lands(&mut scene).await?;
    holding.rollback().await?;
    let (code, output, errors) = recovering.end().await?;
    // THEN it is kept and judged as the others, and said
    assert_eq!(code, 0, "{errors}");
    let said: serde_json::Value = serde_json::from_str(&output)?;
    assert_eq!(said["applied"]["late"], 1, "{output}");
    let mut connection = scene.connect().await?;
    let kept: String =
        sqlx::query_scalar("select fate from outbox.unknown_entry where batch_id || '-' || position = $1")
            .bind(&id)
            .fetch_one(&mut connection)
            .await?;
    assert_eq!(kept, fate);
    let is_there = scene
        .entries()
        .await?
        .iter()
        .any(|entry| entry.id.to_string() == id);
    assert_eq!(is_there, fate == "accepted");
    // AND the relay goes on behind it
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let more = scene.append(1).await?;
    let stays = if is_there { scene.unknown.len() + 1 } else { 0 };
    let came = scene
        .arrived(scene.known.len() + stays + newer.len() + more.len())
        .await?;
    assert_eq!(came.last(), more.last());
    Ok(())
}

#[tokio::test]
async fn what_lands_meanwhile_where_both_are_right_stays_and_the_command_says_so() -> Result {
    // GIVEN a dump loaded elsewhere of a database whose streams had no more, and a recovery that waits for somebody who appended
    let mut scene = Scene::new(Postgres::options()).await?;
    scene.known = scene.publish(10).await?;
    let file = tempfile::NamedTempFile::new()?;
    scene.dump(file.path())?;
    scene.load(file.path()).await?;
    let mut connection = scene.connect().await?;
    let mut holding = connection.begin().await?;
    holding
        .execute("select outbox.append('another.topic', '{}')")
        .await?;
    let mut recovering = AtWork::start(&scene, "continue")?;
    recovering.waits(&scene, ON_LOG).await?;
    // WHEN the old one, which nobody stopped, puts an entry there
    let id = lands(&mut scene).await?;
    holding.rollback().await?;
    let (code, output, errors) = recovering.end().await?;
    // THEN it stays, is kept, and the command does not end as if all was well
    assert_eq!(code, 5, "{errors}");
    let said: serde_json::Value = serde_json::from_str(&output)?;
    assert_eq!(said["applied"]["late"], 1, "{output}");
    let is_there = scene
        .entries()
        .await?
        .iter()
        .any(|entry| entry.id.to_string() == id);
    assert!(is_there);
    Ok(())
}

#[tokio::test]
async fn what_lands_meanwhile_is_taken_off_where_the_database_is_right() -> Result {
    is_judged("trust-database", "removed").await
}

#[tokio::test]
async fn what_lands_meanwhile_stays_where_the_stream_is_right() -> Result {
    is_judged("trust-stream", "accepted").await
}
