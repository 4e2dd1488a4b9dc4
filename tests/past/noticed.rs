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

async fn first_piece(scene: &Scene) -> Result<String> {
    let mut connection = scene.connect().await?;
    Ok(sqlx::query_scalar(
        "select name from outbox.piece where parent = 'log_standard' order by lower_bound nulls first limit 1",
    )
    .fetch_one(&mut connection)
    .await?)
}

/// The first piece of the log is full, old, and passed by every stream: whoever looks after the pieces drops it.
async fn fill_the_first_piece(scene: &Scene) -> Result {
    scene
        .execute("update outbox.retention_class set keep = interval '1 millisecond' where name = 'standard'")
        .await?;
    scene
        .execute(
            "select setval('outbox.log_position', 10 + (select min(upper_bound) from outbox.piece where parent = 'log_standard'))",
        )
        .await?;
    scene
        .execute(
            "insert into outbox.batch (number, batch_id, era, epoch, snapshot, event_count, first_position, last_position, cut_at) \
             select number + 1, batch_id + 1, era, epoch, pg_current_snapshot(), 0, p.last_value, p.last_value, \
                    clock_timestamp() - interval '2 minutes' \
             from outbox.batch, outbox.log_position p order by number desc limit 1",
        )
        .await
}

#[tokio::test]
async fn a_piece_that_is_due_stays_until_the_streams_were_compared() -> Result {
    // GIVEN a database that went back, with a piece of the log that is due
    let mut scene = Scene::new(Postgres::options()).await?;
    scene.known = scene.publish(5).await?;
    fill_the_first_piece(&scene).await?;
    let backup = scene.world.postgres()?.back_up()?;
    scene.unknown = scene.publish(5).await?;
    scene.world.postgres()?.restore(&backup)?;
    let (before, due) = (pieces(&scene).await?, first_piece(&scene).await?);
    // WHEN a relay leads that cannot compare, through several rounds of upkeep
    scene.world.redis_server()?.pause()?;
    let mut relay = scene.relay().set("OUTBOX_MAINTAIN_INTERVAL", "1s").start()?;
    let mut connection = scene.connect().await?;
    until("it has led for more than three rounds", LIMIT, async || {
        let long: bool = sqlx::query_scalar(
            "select expires_at - acquired_at > interval '5 seconds' and expires_at > clock_timestamp() from outbox.lease where name = 'publish'",
        )
        .fetch_one(&mut connection)
        .await?;
        Ok(long.then_some(()))
    })
    .await?;
    // THEN nothing is dropped, nor when it compares and refuses
    assert_eq!(pieces(&scene).await?, before);
    scene.world.redis_server()?.resume()?;
    relay.not_ready_because("STREAM-IS-AHEAD").await?;
    relay.terminate().await?;
    assert_eq!(pieces(&scene).await?, before);
    // AND once a person has decided, it goes
    scene.apply("trust-database")?;
    let mut relay = scene.relay().set("OUTBOX_MAINTAIN_INTERVAL", "1s").start()?;
    relay.leads().await?;
    until("the piece is dropped", LIMIT, async || {
        Ok((first_piece(&scene).await? != due).then_some(()))
    })
    .await
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
