//! What is kept of a removed event, and that nothing is cut while somebody removes.

use outbox_core::event_store::{Error, keep};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use system_tests::Result;
use system_tests::patience::until;

use super::bench::{Bench, LIMIT, REASON, name};

#[tokio::test]
async fn what_is_cut_again_is_what_was_measured() -> Result {
    let mut bench = Bench::new().await?;
    bench.store("points-1", 2).await?;
    bench.remove("points-1", Some(2)).await?;
    let mut person = bench.world.connect().await?;
    let is_still = async |relay: &mut PgConnection, measured: &str| -> Result<bool> {
        let asked = format!("select outbox.is_still_measured('points', '{measured}')");
        Ok(sqlx::query_scalar(AssertSqlSafe(asked)).fetch_one(relay).await?)
    };
    let snapshot = "select pg_current_snapshot()::text";
    let before: String = sqlx::query_scalar(snapshot)
        .fetch_one(&mut bench.postgres)
        .await?;
    assert!(is_still(&mut bench.postgres, &before).await?);
    // WHEN somebody removes more
    let mut removal = person.begin().await?;
    let chunk = keep::truncate_stream(&mut removal, &name("points-1"), 3, REASON, 100).await?;
    assert_eq!(chunk.events, 1);
    // THEN nothing is cut meanwhile, nor afterwards by what was measured before
    assert!(!is_still(&mut bench.postgres, &before).await?);
    removal.commit().await?;
    assert!(!is_still(&mut bench.postgres, &before).await?);
    let after: String = sqlx::query_scalar(snapshot)
        .fetch_one(&mut bench.postgres)
        .await?;
    assert!(is_still(&mut bench.postgres, &after).await?);
    Ok(())
}

#[tokio::test]
async fn a_relay_that_does_not_count_what_was_removed_puts_nothing_out_again() -> Result {
    let mut bench = Bench::new().await?;
    bench.store("points-1", 2).await?;
    // How a relay of before cuts a re-issue: it names no column for what was removed. Undone, whatever comes of it.
    let as_before = async |relay: &mut PgConnection| -> Result<Option<(String, String)>> {
        let mut cut = relay.begin().await?;
        let outcome = cut
            .execute(
                "insert into outbox.reissue (batch_number, topic, partition, kept_batch_id, kept_position, kept_number, base, base_number, \
                     passed_snapshots, passed_positions, missing, asked_by) \
                 values (1000, 'points', 0, 1, 1, 1, '3:3:', 1, '{}', '{}', 'all of it', 'a person')",
            )
            .await;
        cut.rollback().await?;
        match outcome {
            Ok(_) => Ok(None),
            Err(sqlx::Error::Database(refused)) => Ok(Some((
                refused.code().unwrap_or_default().into_owned(),
                refused.message().to_owned(),
            ))),
            Err(other) => Err(other.into()),
        }
    };
    assert_eq!(as_before(&mut bench.postgres).await?, None, "nothing was removed");
    // WHEN somebody is removing events of the topic, and afterwards THEN it is refused, and told why and what to do
    let mut person = bench.world.connect().await?;
    until("it may go", LIMIT, async || {
        person.execute("begin").await?;
        match keep::truncate_stream(&mut person, &name("points-1"), 2, REASON, 100).await {
            Ok(chunk) => {
                assert_eq!(chunk.events, 1);
                Ok(Some(()))
            }
            Err(Error::Database { code, .. }) if code == "55000" => {
                person.execute("rollback").await?;
                Ok(None)
            }
            Err(other) => Err(other.into()),
        }
    })
    .await?;
    let (code, said) = as_before(&mut bench.postgres).await?.unwrap_or_default();
    assert!(
        code == "55000" && said.starts_with("stop this relay: events of topic points are being removed"),
        "{code} {said}"
    );
    person.execute("commit").await?;
    let (code, said) = as_before(&mut bench.postgres).await?.unwrap_or_default();
    assert!(
        code == "55000" && said.starts_with("stop this relay: events of topic points were removed"),
        "{code} {said}"
    );
    Ok(())
}

#[tokio::test]
async fn what_is_kept_of_a_removed_event_tells_its_partition_and_stays() -> Result {
    let mut bench = Bench::new().await?;
    let differing: i64 = sqlx::query_scalar(
        "select count(*) from generate_series(1, 300) key, generate_series(1, 40) partitions
         where outbox.key_number(key::text || 'é') % partitions <> outbox.partition_of(key::text || 'é', partitions)",
    )
    .fetch_one(&mut bench.postgres)
    .await?;
    assert_eq!(differing, 0);
    bench.store("points-1", 2).await?;
    bench.remove("points-1", None).await?;
    for change in [
        "delete from outbox.removed",
        "update outbox.removed set last_position = last_position + 1",
        "truncate outbox.removed",
    ] {
        let refused = bench.postgres.execute(change).await.expect_err(change);
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
    Ok(())
}
