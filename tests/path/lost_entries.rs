//! Streams that lost entries, or hold somebody else's: noticed by the very next parcel, never taken for delivered (G5, G8).

use redis::aio::MultiplexedConnection;
use serde_json::json;
use system_tests::{Relay, Result, World};

use crate::arrivals::arrived;
use crate::publish::{append, lost};

/// What another program writes to a stream of ours, under an id of its choice.
async fn intrude(redis: &mut MultiplexedConnection, stream: &str, id: &str) -> Result {
    let event = json!({ "specversion": "1.0", "id": "theirs", "source": "/elsewhere", "type": "t" });
    redis::cmd("XADD")
        .arg(&[stream, id, "event", &event.to_string()])
        .query_async::<()>(redis)
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_stream_deleted_right_before_its_next_event_is_noticed_by_that_parcel() -> Result {
    // GIVEN several streams with a confirmed entry each
    let world = World::new().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    let mut redis = world.redis().await?;
    let topics = ["a", "b", "c", "d"];
    for topic in topics {
        append(&mut connection, topic, 1).await?;
        arrived(&mut redis, &format!("outbox:{topic}"), 1).await?;
    }
    for topic in topics {
        // WHEN one is deleted and written to again before the schedule of comparisons, a second apart, sees it empty
        redis::cmd("DEL")
            .arg(format!("outbox:{topic}"))
            .query_async::<()>(&mut redis)
            .await?;
        append(&mut connection, topic, 2).await?;
        // THEN that is said: from then on its last entry is where the schedule looks for it, and would say nothing
        let reason = lost(&mut connection, topic).await?;
        assert!(reason.contains("no longer holds entry"), "{reason}");
    }
    Ok(())
}

#[tokio::test]
async fn an_id_refused_as_too_old_and_not_there_does_not_count_as_delivered() -> Result {
    // GIVEN a stream on which another program put an entry far above ours
    let world = World::new().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    let mut redis = world.redis().await?;
    append(&mut connection, "t", 1).await?;
    arrived(&mut redis, "outbox:t", 1).await?;
    intrude(&mut redis, "outbox:t", "99999999999999-0").await?;
    // WHEN the next event is appended
    append(&mut connection, "t", 2).await?;
    // THEN that is said, and its progress stays before that event: no id of ours would be above that entry
    let reason = lost(&mut connection, "t").await?;
    assert!(reason.contains("does not hold it"), "{reason}");
    assert_eq!(passed(&mut connection).await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_id_that_holds_another_event_does_not_count_as_delivered() -> Result {
    // GIVEN a ledger whose next batch id is known, and another program's entry under the id that our event will have
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let mut redis = world.redis().await?;
    sqlx::query(
        "insert into outbox.batch (number, batch_id, era, epoch, snapshot, event_count, first_position, last_position)
         values (1, 99999999999990, 1, 1, pg_current_snapshot(), 1, 1, 1)",
    )
    .execute(&mut connection)
    .await?;
    intrude(&mut redis, "outbox:t", "99999999999991-1").await?;
    append(&mut connection, "t", 1).await?;
    // WHEN a relay publishes it
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    // THEN that is said, naming what was found in its place
    let reason = lost(&mut connection, "t").await?;
    assert!(reason.contains("holds event theirs"), "{reason}");
    assert_eq!(passed(&mut connection).await?, 0);
    Ok(())
}

/// The highest position recorded as delivered.
async fn passed(connection: &mut sqlx::PgConnection) -> Result<i64> {
    Ok(
        sqlx::query_scalar("select coalesce(max(position), 0) from outbox.progress")
            .fetch_one(connection)
            .await?,
    )
}
