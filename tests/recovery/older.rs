//! A stream whose last known entry is older than the ledger.

use sqlx::Executor;
use system_tests::Result;
use system_tests::past::{QUIET, Scene};
use system_tests::patience::until;
use xtask::servers::Postgres;

use crate::refused::database_id;

#[tokio::test]
async fn what_was_cut_behind_an_entry_that_is_older_than_the_ledger_comes() -> Result {
    // GIVEN a stream that rested while another went on, and then had events cut that were never sent
    let mut scene = Scene::new(Postgres::options()).await?;
    scene.known = scene.publish(5).await?;
    let last = scene.entries().await?.last().map_or(0, |entry| entry.id.0);
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    for n in 1..=2 {
        scene.append_to(QUIET, 1).await?;
        let redis = &mut scene.redis;
        until("the other goes on", system_tests::past::LIMIT, async || {
            let entries = system_tests::stream::entries(redis, "outbox:orders.seen").await?;
            Ok((entries.len() == n).then_some(()))
        })
        .await?;
    }
    relay.terminate().await?;
    scene.cut_while_the_sink_is_away(5).await?;
    // AND a ledger whose pieces up to the other's last batch are dropped
    let mut connection = scene.connect().await?;
    connection
        .execute("set session_replication_role = replica")
        .await?;
    let dropped = connection
        .execute(
            "delete from outbox.batch where number < (select max(s.batch_number) from outbox.share s where s.topic = 'orders.seen')",
        )
        .await?;
    assert!(dropped.rows_affected() > 2);
    let oldest: i64 = sqlx::query_scalar("select min(batch_id) from outbox.batch")
        .fetch_one(&mut connection)
        .await?;
    assert!(oldest.unsigned_abs() > last, "the stream's last entry is older");
    // AND a mark that this ledger never cut
    redis::cmd("XADD")
        .arg("outbox:@mark:orders.placed")
        .arg(format!("{}-0", oldest + 5_000_000))
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
    // WHEN the database is taken for right, THEN they come
    let applied = scene.apply("trust-database")?;
    assert_eq!(applied["applied"]["events"], 5);
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    assert_eq!(scene.arrived(10).await?, scene.in_the_log().await?);
    Ok(())
}
