//! What the database does not know at all: a topic that was new, partitions that were laid, a name of its own that it had elsewhere.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use system_tests::past::{LIMIT, STREAM, Scene};
use system_tests::patience::until;
use system_tests::{Result, stream};
use uuid::Uuid;
use xtask::servers::Postgres;

const NEW: &str = "orders.new";
const NEW_STREAM: &str = "outbox:orders.new";

async fn count(scene: &Scene, sql: &'static str) -> Result<i64> {
    let mut connection = scene.connect().await?;
    Ok(sqlx::query_scalar(sql).fetch_one(&mut connection).await?)
}

/// A topic is published for the first time in the time that the database has lost; of the other one nothing happened meanwhile.
async fn a_topic_was_new() -> Result<(Scene, Vec<Uuid>)> {
    let mut scene = Scene::new(Postgres::options()).await?;
    scene.known = scene.publish(5).await?;
    let backup = scene.world.postgres()?.back_up()?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let lost = scene.append_to(NEW, 3).await?;
    of_the_new_topic(&mut scene, 3).await?;
    relay.terminate().await?;
    scene.world.postgres()?.restore(&backup)?;
    Ok((scene, lost))
}

async fn of_the_new_topic(scene: &mut Scene, expected: usize) -> Result<Vec<Uuid>> {
    let redis = &mut scene.redis;
    until("entries of the new topic", LIMIT, async || {
        let entries = stream::entries(redis, NEW_STREAM).await?;
        Ok((entries.len() == expected).then(|| entries.iter().map(|entry| entry.event_id).collect()))
    })
    .await
}

/// The relay names the topic, and so does the inspection; what was chosen holds for the topic too.
async fn is_named_and_recovered(strategy: &str) -> Result {
    let (mut scene, lost) = a_topic_was_new().await?;
    scene.append(1).await?;
    let mut relay = scene.relay().start()?;
    let said = relay.not_ready_because("TOPIC-UNKNOWN").await?;
    assert!(said.contains(NEW), "{said}");
    relay.terminate().await?;
    assert_eq!(scene.entries().await?.len(), 5, "nothing was published");
    let report = scene.ask(&["--output", "json", "recover", "inspect"])?;
    assert_eq!(report.code, 4, "{}", report.errors);
    let report = report.json()?;
    assert_eq!(report["found"]["unknown_streams"][0], NEW, "{report}");
    assert_eq!(report["found"]["searched"], true);
    scene.apply(strategy)?;
    let stays = if strategy == "trust-stream" {
        lost.clone()
    } else {
        Vec::new()
    };
    assert_eq!(of_the_new_topic(&mut scene, stays.len()).await?, stays);
    assert_eq!(
        count(
            &scene,
            "select count(*) from outbox.unknown_entry where topic = 'orders.new'"
        )
        .await?,
        3
    );
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let next = scene.append_to(NEW, 2).await?;
    let expected = [stays, next].concat();
    assert_eq!(of_the_new_topic(&mut scene, expected.len()).await?, expected);
    let entries = stream::entries(&mut scene.redis, NEW_STREAM).await?;
    for pair in entries.windows(2) {
        assert_eq!(pair[1].previous_id, Some(pair[0].id));
    }
    assert_eq!(scene.arrived(6).await?, scene.in_the_log().await?);
    Ok(())
}

#[tokio::test]
async fn a_topic_that_was_new_is_named_and_taken_off_where_the_database_is_right() -> Result {
    is_named_and_recovered("trust-database").await
}

#[tokio::test]
async fn a_topic_that_was_new_is_named_and_gone_on_with_where_the_stream_is_right() -> Result {
    is_named_and_recovered("trust-stream").await
}

#[tokio::test]
async fn partitions_that_were_laid_in_the_time_that_was_lost_are_refused_and_nothing_is_begun() -> Result {
    // GIVEN a topic that got four partitions, and a database from before that
    let mut scene = Scene::new(Postgres::options()).await?;
    scene.known = scene.publish(5).await?;
    let backup = scene.world.postgres()?.back_up()?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let grown = scene.ask(&["topic", "set", "orders.placed", "--partitions", "4"])?;
    assert_eq!(grown.code, 0, "{}", grown.errors);
    let redis = &mut scene.redis;
    until("the layout is announced", LIMIT, async || {
        let layout: Option<String> = redis::cmd("GET")
            .arg("outbox:@layout:orders.placed")
            .query_async(redis)
            .await?;
        Ok(layout)
    })
    .await?;
    relay.terminate().await?;
    scene.world.postgres()?.restore(&backup)?;
    let before = scene.entries().await?.len();
    // WHEN a person wants to recover, THEN each choice is refused before anything is begun
    for strategy in ["continue", "trust-database", "trust-stream", "republish"] {
        let answer = scene.try_apply(strategy)?;
        assert_eq!(answer.code, 4, "{strategy}: {}", answer.errors);
        assert!(
            answer.errors.contains("outbox:@layout:orders.placed"),
            "{strategy}: {}",
            answer.errors
        );
    }
    assert_eq!(count(&scene, "select count(*) from outbox.recovery").await?, 0);
    assert_eq!(scene.entries().await?.len(), before);
    Ok(())
}

#[tokio::test]
async fn a_layout_of_a_topic_with_one_stream_here_is_refused_on_connect_and_while_leading() -> Result {
    // GIVEN a topic with one stream, and a relay that leads
    let mut scene = Scene::new(Postgres::options()).await?;
    scene.known = scene.publish(5).await?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    // WHEN the sink says that it has four, THEN the relay refuses
    redis::cmd("SET")
        .arg(&["outbox:@layout:orders.placed", "1@0,4@1790000000000"])
        .query_async::<()>(&mut scene.redis)
        .await?;
    relay.not_ready_because("LAYOUT-IS-AHEAD").await?;
    relay.terminate().await?;
    // AND so does one that connects and knows of no refusal
    scene.execute("truncate outbox.refusal").await?;
    scene.append(1).await?;
    let mut relay = scene.relay().start()?;
    relay.not_ready_because("LAYOUT-IS-AHEAD").await?;
    relay.terminate().await?;
    assert_eq!(scene.entries().await?.len(), 5, "nothing was published");
    // WHEN it was a mistake and is mended, THEN a recovery closes it and the stream goes on
    redis::cmd("DEL")
        .arg("outbox:@layout:orders.placed")
        .query_async::<()>(&mut scene.redis)
        .await?;
    scene.apply("continue")?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    assert_eq!(scene.arrived(6).await?, scene.in_the_log().await?);
    Ok(())
}

#[tokio::test]
async fn a_database_with_a_new_number_in_the_same_server_is_refused_until_a_person_says_which_goes_on()
-> Result {
    // GIVEN a database that published, and a copy of it in the same server
    let mut scene = Scene::new(Postgres::options()).await?;
    scene.known = scene.publish(5).await?;
    let name = scene.world.log().name().to_owned();
    let mut server = PgConnection::connect(&scene.world.postgres()?.url("postgres")).await?;
    until("nobody uses it", LIMIT, async || {
        let made = server
            .execute(AssertSqlSafe(format!("create database moved template {name}")))
            .await;
        Ok(made.is_ok().then_some(()))
    })
    .await?;
    let old_url = scene.url.clone();
    scene.url = scene.world.postgres()?.url("moved");
    // WHEN a relay of the copy takes the lead, THEN it refuses, and sets no stream aside
    scene.append(2).await?;
    let mut relay = scene.relay().start()?;
    relay.not_ready_because("POSTGRES-MOVED").await?;
    relay.terminate().await?;
    assert_eq!(
        count(&scene, "select count(*) from outbox.stream_action").await?,
        0
    );
    assert_eq!(scene.entries().await?.len(), 5, "nothing was published");
    // WHEN a person says that it goes on, THEN it does
    scene.apply("continue")?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    assert_eq!(scene.arrived(7).await?, scene.in_the_log().await?);
    // AND the database that it was copied from is refused
    let mut old = scene.relay().set("DATABASE_URL", &old_url).start()?;
    old.not_ready_because("POSTGRES-MOVED").await?;
    assert_eq!(scene.entries().await?.len(), 7, "nothing was added");
    let stream = scene.entries().await?;
    assert!(
        stream
            .windows(2)
            .all(|pair| pair[1].previous_id == Some(pair[0].id)),
        "{STREAM}"
    );
    Ok(())
}
