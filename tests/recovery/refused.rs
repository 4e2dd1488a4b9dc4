//! What cannot succeed is refused before anything is changed, by the preview and the deed alike.

use sqlx::Executor;
use system_tests::Result;
use system_tests::past::{Past, Scene, TOPIC};

use crate::apply::stands;

/// The preview and the deed refuse every strategy with this, and nothing was begun or taken off.
async fn is_refused(scene: &mut Scene, strategies: &[&str], why: &str) -> Result {
    let before = scene.entries().await?.len();
    for strategy in strategies {
        let told = scene.ask(&["recover", "apply", "--strategy", strategy, "--reason", "x"])?;
        assert_eq!(told.code, 4, "{strategy}: {}", told.errors);
        assert!(told.errors.contains(why), "{strategy}: {}", told.errors);
        let done = scene.try_apply(strategy)?;
        assert_eq!(done.code, 4, "{strategy}: {}", done.errors);
        assert!(done.errors.contains(why), "{strategy}: {}", done.errors);
    }
    assert_eq!(stands(scene).await?, (1, Vec::new()), "nothing was begun");
    assert_eq!(scene.entries().await?.len(), before, "nothing was taken off");
    Ok(())
}

const ALL: [&str; 3] = ["trust-database", "trust-stream", "republish"];

#[tokio::test]
async fn a_prepared_transaction_that_was_left_open_is_named_before_anything_is_changed() -> Result {
    let mut scene = Scene::after(Past::BaseBackup).await?;
    let mut connection = scene.connect().await?;
    connection.execute("begin").await?;
    sqlx::query("select outbox.append($1, '{}')")
        .bind(TOPIC)
        .execute(&mut connection)
        .await?;
    connection.execute("prepare transaction 'left-open'").await?;
    is_refused(&mut scene, &ALL, "left-open").await?;
    // WHEN a person ended it, THEN what it appended comes
    connection.execute("commit prepared 'left-open'").await?;
    scene.apply("trust-database")?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let came = scene.arrived(21).await?;
    assert_eq!(came, scene.in_the_log().await?);
    Ok(())
}

#[tokio::test]
async fn a_layout_that_the_database_does_not_know_is_refused_before_anything_is_changed() -> Result {
    let mut scene = Scene::after_losing(Past::BaseBackup, 10, 3).await?;
    // GIVEN a sink that tells of more partitions
    let key = format!("outbox:@layout:{TOPIC}");
    let known: String = redis::cmd("GET").arg(&key).query_async(&mut scene.redis).await?;
    redis::cmd("SET")
        .arg(&key)
        .arg(format!("{known},6@1795233600000"))
        .query_async::<()>(&mut scene.redis)
        .await?;
    is_refused(&mut scene, &ALL, "more partitions").await
}

#[tokio::test]
async fn what_an_earlier_stream_has_not_had_is_refused_before_anything_is_changed() -> Result {
    // GIVEN a topic that grew while its stream had events to publish
    let mut scene = Scene::new(xtask::servers::Postgres::options()).await?;
    scene.known = scene.publish(5).await?;
    scene.cut_while_the_sink_is_away(5).await?;
    let mut connection = scene.connect().await?;
    connection
        .execute(
            "with row as (
                 insert into outbox.batch (number, batch_id, kind, era, epoch, snapshot, event_count, first_position, last_position, layouts)
                 select b.number + 1, b.batch_id + 1, 'moved', b.era, b.epoch, b.snapshot, 0, b.last_position, b.last_position, 1
                 from outbox.batch b order by b.number desc limit 1 returning number, batch_id)
             insert into outbox.topic_layout (topic, generation, partitions, batch_number, batch_id, moved)
             select 'orders.placed', 1, 3, row.number, row.batch_id, true from row",
        )
        .await?;
    // AND a mark beside it that this ledger never cut
    let last = scene.entries().await?.last().map_or(0, |entry| entry.id.0);
    redis::cmd("XADD")
        .arg("outbox:@mark:orders.placed")
        .arg(format!("{}-0", last + 5_000_000))
        .arg(&[
            "database",
            &database_id(&scene).await?,
            "epoch",
            "9",
            "retention",
            "0",
        ])
        .query_async::<()>(&mut scene.redis)
        .await?;
    is_refused(&mut scene, &["trust-database", "trust-stream"], "more partitions").await
}

pub(crate) async fn database_id(scene: &Scene) -> Result<String> {
    let mut connection = scene.connect().await?;
    Ok(sqlx::query_scalar(
        "select s.database_id::text || '/' || (select oid from pg_database where datname = current_database()) from outbox.settings s",
    )
    .fetch_one(&mut connection)
    .await?)
}
