//! The database went back or moved, a person chose, and then Redis loses what it has: what the log has is put out again, whatever era it
//! is of, and only what it has not is lost.

use redis::AsyncCommands;
use sqlx::Executor;
use system_tests::past::{LIMIT, Past, STREAM, Scene, TOPIC};
use system_tests::patience::until;
use system_tests::{Relay, Result};
use uuid::Uuid;

use crate::groups::{Readers, of_key, sorted};
use crate::transactions::loaded_elsewhere;

/// The stream loses everything from an entry on, and nobody is disconnected.
async fn lose_from(scene: &mut Scene, index: usize) -> Result<String> {
    let entries = scene.entries().await?;
    let ids: Vec<String> = entries[index..]
        .iter()
        .map(|entry| entry.id.to_string())
        .collect();
    let gone: usize = scene.redis.xdel(STREAM, &ids).await?;
    assert_eq!(gone, ids.len());
    Ok(entries[index - 1].id.to_string())
}

/// Waits until a condition holds in the database as it is now.
async fn holds(scene: &Scene, condition: &'static str) -> Result {
    let mut connection = scene.connect().await?;
    until(condition, LIMIT, async || {
        let is_so: bool = sqlx::query_scalar(condition).fetch_one(&mut connection).await?;
        Ok(is_so.then_some(()))
    })
    .await
}

/// What lies behind an entry was put out again, whole.
async fn is_put_out_behind(scene: &Scene, kept: &str) -> Result {
    let mut connection = scene.connect().await?;
    until("it is put out again", LIMIT, async || {
        let lost: Vec<String> = sqlx::query_scalar(
            "select row_to_json(l)::text from outbox_ops.losses l where l.why <> 'accepted'",
        )
        .fetch_all(&mut connection)
        .await?;
        assert_eq!(lost, Vec::<String>::new(), "recorded as lost, and the log has it");
        let done: bool = sqlx::query_scalar(
            "select exists (select from outbox_ops.reissues where state = 'done' and kept = $1)
                and not exists (select from outbox_ops.topics where state <> 'moving')",
        )
        .bind(kept)
        .fetch_one(&mut connection)
        .await?;
        Ok(done.then_some(()))
    })
    .await
}

/// A group comes to exactly these, each once, and those of a key in order.
async fn comes_to(readers: &Readers, scene: &Scene, group: &str, expected: &[Uuid]) -> Result {
    let mut member = readers.start(scene, group).await?;
    readers.effects(group, expected.len()).await?;
    member.ready().await?;
    member.terminate().await?;
    let effects = readers.effects(group, expected.len()).await?;
    assert_eq!(sorted(&effects), sorted(expected), "{group}: each once");
    for key in 0..5 {
        assert_eq!(
            of_key(&effects, scene, key).await?,
            of_key(expected, scene, key).await?,
            "{group}, key {key}"
        );
    }
    Ok(())
}

/// A base backup was started, 100 other events were cut before anybody looked at the streams, and a person chose.
async fn after(strategy: &str) -> Result<(Scene, Vec<Uuid>, Relay)> {
    let scene = Scene::after(Past::BaseBackup).await?;
    let newer = scene.append(100).await?;
    let mut relay = scene.relay().start()?;
    holds(
        &scene,
        "select exists (select from outbox.share s where s.topic = 'orders.placed' and s.event_count = 100)",
    )
    .await?;
    relay.not_ready_because("STREAM-IS-AHEAD").await?;
    relay.terminate().await?;
    scene.apply(strategy)?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    Ok((scene, newer, relay))
}

/// A day goes by: pieces of the progress are dropped, and of each stream the latest row is carried on. None is left that the era wrote.
async fn forget_progress(scene: &Scene) -> Result {
    holds(
        scene,
        "select coalesce((select p.chain_batch_id >= (select max(batch_id) from outbox.era) from outbox.progress p
                          where p.topic = 'orders.placed' order by p.batch_number desc, p.position desc limit 1), false)",
    )
    .await?;
    let mut connection = scene.connect().await?;
    connection
        .execute("set session_replication_role = replica")
        .await?;
    let forgotten = connection
        .execute(
            "delete from outbox.progress p where exists (
                select from outbox.progress newer where newer.topic = p.topic and newer.partition = p.partition
                   and (newer.batch_number, newer.position, newer.number) > (p.batch_number, p.position, p.number))",
        )
        .await?;
    assert!(forgotten.rows_affected() > 0);
    let left: i64 = sqlx::query_scalar(
        "select count(*) from outbox.progress p join outbox.era e on e.batch_number = p.batch_number
         where p.topic = 'orders.placed' and p.chain_batch_id < e.batch_id",
    )
    .fetch_one(&mut connection)
    .await?;
    assert_eq!(left, 0, "what the era wrote is gone");
    Ok(())
}

#[tokio::test]
async fn what_an_era_passed_over_is_known_after_its_progress_is_gone() -> Result {
    // GIVEN an era that began with what was cut and never sent, a stream trimmed to the middle of it, and a day gone by
    let (mut scene, newer, _relay) = after("trust-database").await?;
    let expected = [scene.known.clone(), newer.clone()].concat();
    assert_eq!(scene.arrived(120).await?, expected);
    let entries = scene.entries().await?;
    let (kept, floor) = (entries[19].id, entries[70].id);
    let mut connection = scene.connect().await?;
    sqlx::query(
        "insert into outbox.trim_floor (topic, partition, batch_id, position, cause, epoch) values ($1, 0, $2, $3, 'retention', 1)",
    )
    .bind(TOPIC)
    .bind(i64::try_from(floor.0).unwrap_or(0))
    .bind(i64::try_from(floor.1).unwrap_or(0))
    .execute(&mut connection)
    .await?;
    let later = scene.append(5).await?;
    scene.arrived(125).await?;
    forget_progress(&scene).await?;
    // WHEN everything is gone THEN all that stands behind the floor is put out again, and nothing is said to be lost
    redis::cmd("FLUSHALL").query_async::<()>(&mut scene.redis).await?;
    is_put_out_behind(&scene, &kept.to_string()).await?;
    assert_eq!(scene.arrived(105).await?, [newer, later].concat());
    Ok(())
}

#[tokio::test]
async fn what_an_era_began_with_is_put_out_again_behind_what_is_left_of_it() -> Result {
    // GIVEN an era that began with what was cut and never sent, a group in the middle of it and one at its end
    let (mut scene, newer, _relay) = after("trust-database").await?;
    let readers = Readers::new().await?;
    let expected = [scene.known.clone(), newer].concat();
    assert_eq!(scene.arrived(120).await?, expected);
    readers.read(&scene, "behind", 120).await?;
    forget_progress(&scene).await?;
    // WHEN the stream loses the last forty THEN they are put out again, behind what is left
    let kept = lose_from(&mut scene, 80).await?;
    is_put_out_behind(&scene, &kept).await?;
    // AND so it is when all of the era is lost, and of what was before the half
    let kept = lose_from(&mut scene, 10).await?;
    is_put_out_behind(&scene, &kept).await?;
    let expected = [expected, scene.append(5).await?].concat();
    comes_to(&readers, &scene, "behind", &expected).await?;
    comes_to(&readers, &scene, "late", &expected).await
}

#[tokio::test]
async fn what_follows_entries_that_a_person_accepted_is_put_out_again_and_they_are_said_to_be_lost() -> Result
{
    // GIVEN a stream whose last ten entries the database did not know, and that went on behind them
    let (mut scene, newer, _relay) = after("trust-stream").await?;
    let readers = Readers::new().await?;
    let expected = [scene.known.clone(), scene.unknown.clone(), newer].concat();
    assert_eq!(scene.arrived(130).await?, expected);
    readers.read(&scene, "behind", 130).await?;
    forget_progress(&scene).await?;
    // WHEN it loses everything behind those THEN that is put out again
    let kept = lose_from(&mut scene, 30).await?;
    is_put_out_behind(&scene, &kept).await?;
    let losses = "select coalesce(array_agg(why || ' ' || events || ' ' || through_entry), '{}') from outbox_ops.losses";
    let mut connection = scene.connect().await?;
    let none: Vec<String> = sqlx::query_scalar(losses).fetch_one(&mut connection).await?;
    assert_eq!(none, Vec::<String>::new());
    // WHEN it loses half of those as well THEN these five are lost, and nothing else is
    let end = scene.entries().await?[29].id.to_string();
    let kept = lose_from(&mut scene, 25).await?;
    is_put_out_behind(&scene, &kept).await?;
    let said: Vec<String> = sqlx::query_scalar(losses).fetch_one(&mut connection).await?;
    assert_eq!(said, [format!("accepted 5 {end}")]);
    // AND whoever had them goes on, and who comes has what there is
    let newest = scene.append(5).await?;
    let all = [expected.clone(), newest.clone()].concat();
    comes_to(&readers, &scene, "behind", &all).await?;
    let left: Vec<Uuid> = all
        .iter()
        .filter(|id| !scene.unknown[5..].contains(id))
        .copied()
        .collect();
    comes_to(&readers, &scene, "late", &left).await?;
    // WHEN everything is gone THEN all that the log has is put out again
    redis::cmd("FLUSHALL").query_async::<()>(&mut scene.redis).await?;
    is_put_out_behind(&scene, "0-0").await?;
    let of_the_log: Vec<Uuid> = all
        .iter()
        .filter(|id| !scene.unknown.contains(id))
        .copied()
        .collect();
    comes_to(&readers, &scene, "latest", &of_the_log).await
}

#[tokio::test]
async fn a_stream_that_vanishes_after_its_database_moved_is_put_out_again_from_its_beginning() -> Result {
    // GIVEN a database that was loaded into a cluster whose transaction ids are far below
    let (mut scene, all) = loaded_elsewhere().await?;
    scene.apply("continue")?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    assert_eq!(scene.arrived(35).await?, all);
    let readers = Readers::new().await?;
    readers.read(&scene, "behind", 35).await?;
    let all = [all, scene.append(5).await?].concat();
    scene.arrived(40).await?;
    // WHEN Redis loses everything THEN all of it is there again, in order
    redis::cmd("FLUSHALL").query_async::<()>(&mut scene.redis).await?;
    is_put_out_behind(&scene, "0-0").await?;
    assert_eq!(scene.arrived(40).await?, all);
    // AND when it loses the end, which is of that re-issue
    let kept = lose_from(&mut scene, 22).await?;
    is_put_out_behind(&scene, &kept).await?;
    assert_eq!(scene.arrived(40).await?, all);
    let all = [all, scene.append(5).await?].concat();
    comes_to(&readers, &scene, "behind", &all).await?;
    comes_to(&readers, &scene, "late", &all).await
}

#[tokio::test]
async fn rows_of_an_era_that_were_in_no_batch_are_missed_when_the_log_drops_them() -> Result {
    // GIVEN an era that began with ten events that nobody had cut, of which the log no longer has five
    let (mut scene, all) = loaded_elsewhere().await?;
    scene.apply("continue")?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    scene.arrived(35).await?;
    let later = scene.append(5).await?;
    let entries = {
        scene.arrived(40).await?;
        scene.entries().await?
    };
    let mut connection = scene.connect().await?;
    connection
        .execute("set session_replication_role = replica")
        .await?;
    sqlx::query("delete from outbox.log where topic = $1 and id = any($2)")
        .bind(TOPIC)
        .bind(&all[25..30])
        .execute(&mut connection)
        .await?;
    // WHEN everything is gone THEN what lies up to the end of the era's share is said to be lost, and the rest is put out again
    redis::cmd("FLUSHALL").query_async::<()>(&mut scene.redis).await?;
    holds(
        &scene,
        "select exists (select from outbox_ops.reissues where state = 'done')",
    )
    .await?;
    let (why, events, through): (String, i64, String) =
        sqlx::query_as("select why, events, through_entry from outbox_ops.losses")
            .fetch_one(&mut connection)
            .await?;
    assert_eq!(
        (why.as_str(), events, through),
        ("log", 35, entries[34].id.to_string())
    );
    assert_eq!(scene.arrived(5).await?, later);
    Ok(())
}

#[tokio::test]
async fn what_an_era_passed_over_is_no_place_to_go_on_behind() -> Result {
    // GIVEN an era that began with what was cut and never sent; a group has all of it, and it was trimmed
    let (mut scene, newer, mut relay) = after("trust-database").await?;
    let readers = Readers::new().await?;
    let expected = [scene.known.clone(), newer].concat();
    assert_eq!(scene.arrived(120).await?, expected);
    let stayed = scene.entries().await?[19].id.to_string();
    readers.read(&scene, "behind", 120).await?;
    relay.terminate().await?;
    let set = scene.ask(&["topic", "set", TOPIC, "--stream-retention", "1s"])?;
    assert_eq!(set.code, 0, "{}", set.errors);
    let mut relay = scene.relay().set("OUTBOX_PUBLISH_LOOK_EVERY", "100ms").start()?;
    relay.leads().await?;
    holds(
        &scene,
        "select exists (select from outbox_ops.streams where topic = 'orders.placed' and length = 1 and floor is not null)",
    )
    .await?;
    // WHEN the rest vanishes THEN it goes on behind the entry that stayed, and not behind one that never was on the stream
    redis::cmd("DEL")
        .arg(STREAM)
        .query_async::<()>(&mut scene.redis)
        .await?;
    is_put_out_behind(&scene, &stayed).await?;
    // AND the group has what comes, and nothing twice
    let expected = [expected, scene.append(5).await?].concat();
    comes_to(&readers, &scene, "behind", &expected).await
}
