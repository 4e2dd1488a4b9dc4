//! Topics of several partitions, and more lost entries than are listed at once.

use std::collections::BTreeSet;

use system_tests::Result;
use system_tests::past::{Past, Scene, TOPIC};
use uuid::Uuid;

fn set(ids: &[Uuid]) -> BTreeSet<Uuid> {
    ids.iter().copied().collect()
}

/// Forty events are lost, of three partitions or one; what is chosen is what comes, each event once, in order per partition.
async fn comes_to(past: Past, partitions: u32, strategy: &str) -> Result {
    let mut scene = Scene::after_losing(past, 40, partitions).await?;
    let newer = scene.append(7).await?;
    let mut relay = scene.relay().start()?;
    relay.not_ready_because("STREAM-IS-AHEAD").await?;
    relay.terminate().await?;
    scene.apply(strategy)?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let stays = strategy == "trust-stream";
    let unknown = if stays { scene.unknown.clone() } else { Vec::new() };
    let expected = [scene.known.clone(), unknown, newer].concat();
    let came = scene.arrived(expected.len()).await?;
    assert_eq!(came.len(), expected.len(), "{strategy}: each once");
    assert_eq!(set(&came), set(&expected), "{strategy}");
    // In order: what is on the streams of one key is in the order in which it was appended.
    if partitions == 1 {
        assert_eq!(came, expected);
    }
    for pair in scene.entries().await?.windows(2) {
        // The first of the next stream names none.
        if pair[1].id > pair[0].id {
            assert_eq!(pair[1].previous_id, Some(pair[0].id), "{strategy}: one chain");
        }
    }
    // AND the audit says who did what and why
    let mut connection = scene.connect().await?;
    let audit: (String, String, String, Option<i32>, i64, i64, bool) = sqlx::query_as(
        "select strategy, state, reason, era, entries_removed, entries_accepted, \
                pg_has_role(actor, 'outbox_maintainer', 'member') and done_at >= opened_at \
         from outbox_ops.recoveries",
    )
    .fetch_one(&mut connection)
    .await?;
    let (removed, accepted) = if stays { (0, 40) } else { (40, 0) };
    let expected = (
        strategy.to_owned(),
        "done".to_owned(),
        "a test".to_owned(),
        Some(2),
        removed,
        accepted,
        true,
    );
    assert_eq!(audit, expected);
    let seen: bool = sqlx::query_scalar(
        "select found -> 'streams' @> jsonb_build_array(jsonb_build_object('topic', $1::text)) from outbox.recovery",
    )
    .bind(TOPIC)
    .fetch_one(&mut connection)
    .await?;
    assert!(seen, "what was seen is kept");
    Ok(())
}

#[tokio::test]
async fn three_partitions_go_on_where_the_database_is_right() -> Result {
    comes_to(Past::BaseBackup, 3, "trust-database").await
}

#[tokio::test]
async fn three_partitions_go_on_where_the_stream_is_right() -> Result {
    comes_to(Past::BaseBackup, 3, "trust-stream").await
}

#[tokio::test]
async fn forty_events_that_a_stale_standby_lacks_stay_where_the_stream_is_right() -> Result {
    comes_to(Past::StaleStandby, 1, "trust-stream").await
}

#[tokio::test]
async fn forty_events_that_a_point_in_time_lacks_go_where_the_database_is_right() -> Result {
    comes_to(Past::PointInTime, 1, "trust-database").await
}
