//! A stream lost an entry that a group has not had, and the entries become old: the floor stays below what is missing.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sqlx::Executor;
use system_tests::patience::until;
use system_tests::{Relay, Result, World, stream};

const LIMIT: Duration = Duration::from_secs(60);
const STREAM: &str = "outbox:t";

async fn ask(redis: &mut MultiplexedConnection, words: &[&str]) -> Result {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    Ok(command.query_async::<()>(redis).await?)
}

#[tokio::test]
async fn what_a_group_misses_is_not_below_the_floor_however_old_it_is() -> Result {
    // GIVEN four entries that may go after a second, and a group that acknowledged two of them
    let world = World::new().await?;
    let (mut postgres, mut redis) = (world.connect().await?, world.redis().await?);
    postgres
        .execute("insert into outbox.stream_setting (topic, retention, cap) values ('t', '1 second', null)")
        .await?;
    let mut relay = Relay::of(&world)
        .set("OUTBOX_PUBLISH_LOOK_EVERY", "100ms")
        .start()?;
    relay.leads().await?;
    ask(&mut redis, &["XGROUP", "CREATE", STREAM, "g", "0", "MKSTREAM"]).await?;
    for _ in 0..4 {
        postgres
            .execute("select outbox.append('t', '{}', key => 'k')")
            .await?;
    }
    let entries = until("four entries", LIMIT, async || {
        let entries = stream::entries(&mut redis, STREAM).await?;
        Ok((entries.len() == 4).then_some(entries))
    })
    .await?;
    ask(
        &mut redis,
        &[
            "XREADGROUP",
            "GROUP",
            "g",
            "m",
            "COUNT",
            "2",
            "STREAMS",
            STREAM,
            ">",
        ],
    )
    .await?;
    for entry in &entries[..2] {
        ask(&mut redis, &["XACK", STREAM, "g", &entry.id.to_string()]).await?;
    }
    // WHEN the third is lost, and the fourth delivered, which waits for it
    ask(&mut redis, &["XDEL", STREAM, &entries[2].id.to_string()]).await?;
    ask(
        &mut redis,
        &[
            "XREADGROUP",
            "GROUP",
            "g",
            "m",
            "COUNT",
            "1",
            "STREAMS",
            STREAM,
            ">",
        ],
    )
    .await?;
    // THEN what is old goes up to the one that is missing, and no further
    let floors =
        "select batch_id, position from outbox.trim_floor where topic = 't' order by number desc limit 1";
    let highest = until("the first ones are trimmed", LIMIT, async || {
        let length = stream::length(&mut redis, STREAM).await?;
        let floor: Option<(i64, i64)> = sqlx::query_as(floors).fetch_optional(&mut postgres).await?;
        Ok(floor.filter(|_| length == 1))
    })
    .await?;
    let missing = (i64::try_from(entries[2].id.0)?, i64::try_from(entries[2].id.1)?);
    assert!(
        highest <= missing,
        "the floor {highest:?} is above {missing:?}, which the group has not had"
    );
    Ok(())
}
