//! Whatever way a database comes to be older than its streams, it is noticed before anything is published, trimmed or dropped.

use serde_json::Value;
use system_tests::Result;
use xtask::servers::{Postgres, Stop};

use system_tests::past::{LIMIT, Past, QUIET, STREAM, Scene};
use system_tests::patience::until;

/// A relay refuses with this word, `check` and `recover inspect` say the same, and nothing changed.
async fn is_noticed(past: Past, code: &str) -> Result {
    // GIVEN streams that have ten events more than the database
    let mut scene = Scene::after(past).await?;
    let before = scene.entries().await?;
    let pieces = pieces(&scene).await?;
    assert_eq!(before.len(), 30);
    // WHEN producers go on, and a relay that would trim and drop at once is started
    let newer = scene.append(5).await?;
    scene
        .execute("update outbox.stream_setting set retention = '1 second'; update outbox.retention_class set keep = '1 second' where name = 'standard'")
        .await?;
    let mut relay = scene
        .relay()
        .set("OUTBOX_PUBLISH_LOOK_EVERY", "1s")
        .set("OUTBOX_MAINTAIN_INTERVAL", "1s")
        .start()?;
    // THEN it says so, and nothing is published, trimmed or dropped
    relay.not_ready_because(code).await?;
    relay.logs("refused: nothing is published", LIMIT).await?;
    relay.terminate().await?;
    assert_eq!(
        scene.entries().await?.len(),
        before.len(),
        "nothing was published or trimmed"
    );
    assert_eq!(self::pieces(&scene).await?, pieces, "nothing was dropped");
    scene
        .execute("update outbox.stream_setting set retention = '7 days'; update outbox.retention_class set keep = '7 days' where name = 'standard'")
        .await?;
    // AND the check says it too
    let check = scene.ask(&["check"])?;
    assert_eq!(check.code, 4, "{}", check.output);
    // AND inspect tells which events the database does not know, and changes nothing
    let inspected = scene.ask(&["--output", "json", "recover", "inspect"])?;
    assert_eq!(inspected.code, 4, "{}", inspected.errors);
    let report = inspected.json()?;
    let unknown: Vec<String> = scene.unknown.iter().rev().map(ToString::to_string).collect();
    assert_eq!(told(&report), unknown);
    assert_eq!(scene.entries().await?.len(), before.len());
    // AND without --yes nothing is done
    let preview = scene.ask(&[
        "recover",
        "apply",
        "--strategy",
        "trust-database",
        "--reason",
        "x",
    ])?;
    assert_eq!(preview.code, 4);
    assert!(preview.errors.contains("nothing was done"), "{}", preview.errors);
    // AND going on as if nothing were is refused
    let refused = scene.ask(&[
        "recover",
        "apply",
        "--strategy",
        "continue",
        "--reason",
        "x",
        "--yes",
    ])?;
    assert_eq!(refused.code, 4, "{}", refused.errors);
    assert_eq!(scene.entries().await?.len(), before.len());
    // WHEN the database is taken for right, THEN the stream has what it has, in order, once
    scene.apply("trust-database")?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let last = scene.append(3).await?;
    let expected: Vec<_> = [scene.known.clone(), newer, last].concat();
    assert_eq!(scene.arrived(expected.len()).await?, expected);
    assert_eq!(scene.in_the_log().await?, expected);
    // AND so has the one of which nothing happened
    let quiet = scene.append_to(QUIET, 1).await?;
    let redis = &mut scene.redis;
    until("the quiet stream goes on", LIMIT, async || {
        let entries = system_tests::stream::entries(redis, "outbox:orders.seen").await?;
        Ok((entries.len() == 3 && entries[2].event_id == quiet[0]).then_some(()))
    })
    .await?;
    relay.terminate().await?;
    assert_eq!(scene.ask(&["recover", "inspect"])?.code, 0);
    Ok(())
}

fn told(report: &Value) -> Vec<String> {
    let streams = report["found"]["streams"].as_array().into_iter().flatten();
    let ours = streams.filter(|stream| stream["key"] == STREAM);
    ours.flat_map(|stream| {
        stream["unknown"]["entries"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    })
    .filter_map(|entry| entry["event_id"].as_str().map(str::to_owned))
    .collect()
}

async fn pieces(scene: &Scene) -> Result<Vec<String>> {
    let mut connection = scene.connect().await?;
    Ok(sqlx::query_scalar("select name from outbox.piece order by 1")
        .fetch_all(&mut connection)
        .await?)
}

#[tokio::test]
async fn an_older_base_backup_is_noticed() -> Result {
    is_noticed(Past::BaseBackup, "STREAM-IS-AHEAD").await
}

#[tokio::test]
async fn a_recovery_to_a_point_in_time_is_noticed() -> Result {
    is_noticed(Past::PointInTime, "STREAM-IS-AHEAD").await
}

#[tokio::test]
async fn a_stale_standby_that_was_promoted_is_noticed() -> Result {
    is_noticed(Past::StaleStandby, "STREAM-IS-AHEAD").await
}

#[tokio::test]
async fn a_dump_that_was_loaded_elsewhere_is_noticed() -> Result {
    is_noticed(Past::Dump, "POSTGRES-MOVED").await
}

#[tokio::test]
async fn a_copy_is_noticed() -> Result {
    is_noticed(Past::Copy, "STREAM-IS-AHEAD").await
}

#[tokio::test]
async fn a_copy_that_only_reads_refuses_once_its_original_publishes() -> Result {
    // GIVEN a database whose relay leads, and a copy of it with a relay of its own that began when nothing differed
    let mut scene = Scene::new(Postgres::options()).await?;
    scene.known = scene.publish(5).await?;
    let copy = scene.world.postgres()?.copy_beside(Postgres::options())?;
    let mut original = scene.relay().start()?;
    original.leads().await?;
    let name = scene.world.log().name().to_owned();
    let mut other = scene.relay().set("DATABASE_URL", copy.url(&name)).start()?;
    other.leads().await?;
    // WHEN the original publishes
    scene.append(1).await?;
    scene.arrived(6).await?;
    // THEN the other notices, though it has nothing to publish
    other.not_ready_because("STREAM-IS-AHEAD").await?;
    // AND the original goes on
    scene.append(1).await?;
    scene.arrived(7).await?;
    assert!(original.is_leading().await);
    Ok(())
}

#[tokio::test]
async fn a_parcel_finds_the_mark_of_a_copy() -> Result {
    // GIVEN a relay at work
    let mut scene = Scene::new(Postgres::options()).await?;
    scene.known = scene.publish(5).await?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    scene.append(1).await?;
    scene.arrived(6).await?;
    // WHEN a copy moves the mark to a batch that this ledger never cut, and an event is appended at once
    let batch = scene.entries().await?.last().map_or(0, |entry| entry.id.0) + 1;
    let mark: Vec<(String, Vec<(String, String)>)> = redis::cmd("XREVRANGE")
        .arg(&["outbox:@mark:orders.placed", "+", "-"])
        .query_async(&mut scene.redis)
        .await?;
    let mut command = redis::cmd("XADD");
    command
        .arg("outbox:@mark:orders.placed")
        .arg(format!("{batch}-0"));
    for (field, value) in &mark[0].1 {
        command.arg(field).arg(value);
    }
    command.query_async::<()>(&mut scene.redis).await?;
    scene.append(1).await?;
    // THEN it notices
    relay.not_ready_because("STREAM-IS-AHEAD").await?;
    Ok(())
}

#[tokio::test]
async fn an_entry_with_another_event_at_its_position_is_noticed() -> Result {
    // GIVEN a stream whose mark is right, and whose last entry has an id of ours and another event
    let mut scene = Scene::new(Postgres::options()).await?;
    scene.known = scene.publish(5).await?;
    let entries = scene.entries().await?;
    redis::cmd("DEL")
        .arg(STREAM)
        .query_async::<()>(&mut scene.redis)
        .await?;
    for (n, entry) in entries.iter().enumerate() {
        let json = match n {
            4 => entry
                .json
                .replace(&entry.event_id.to_string(), &uuid::Uuid::now_v7().to_string()),
            _ => entry.json.clone(),
        };
        redis::cmd("XADD")
            .arg(STREAM)
            .arg(entry.id.to_string())
            .arg(&["event", &json])
            .query_async::<()>(&mut scene.redis)
            .await?;
    }
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
async fn a_standby_that_has_everything_goes_on_by_itself() -> Result {
    // GIVEN a relay at work, and a standby that has everything
    let mut scene = Scene::new(Postgres::options()).await?;
    scene.known = scene.publish(10).await?;
    let primary = scene.world.postgres()?;
    let mut standby = primary.standby(primary.port(), Postgres::options())?;
    scene.caught_up(&standby).await?;
    // WHEN it is promoted in the place of the primary
    scene.world.postgres()?.stop(Stop::Immediate)?;
    standby.promote()?;
    scene.elsewhere = Some(standby);
    scene.go_elsewhere()?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let more = scene.append(5).await?;
    // THEN the stream goes on, and the new timeline is recorded
    let expected: Vec<_> = [scene.known.clone(), more].concat();
    assert_eq!(scene.arrived(15).await?, expected);
    let mut connection = scene.connect().await?;
    let timelines: Vec<i32> = sqlx::query_scalar("select timeline from outbox.timeline order by 1")
        .fetch_all(&mut connection)
        .await?;
    assert_eq!(timelines, [1, 2]);
    let eras: i64 = sqlx::query_scalar("select count(*) from outbox.era")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(eras, 1);
    Ok(())
}
