//! Traces in which a stream is trimmed: the floor stays below what a group misses, and what a leader before trimmed is no loss.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sqlx::Executor;
use system_tests::patience::until;
use system_tests::proxy::port_of;
use system_tests::{Fault, Proxy, Relay, Result, World, stream};

const LIMIT: Duration = Duration::from_secs(120);
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

#[tokio::test]
async fn what_a_leader_before_recorded_and_trimmed_is_no_loss() -> Result {
    // GIVEN three entries that a leader put on their stream, of which it recorded nothing before the next one loaded the streams
    let world = World::new().await?;
    let (mut postgres, mut redis) = (world.connect().await?, world.redis().await?);
    let mut before = Relay::of(&world).start()?;
    before.leads().await?;
    for _ in 0..3 {
        postgres
            .execute("select outbox.append('t', '{}', key => 'k')")
            .await?;
    }
    let entries = until("three entries", LIMIT, async || {
        let entries = stream::entries(&mut redis, STREAM).await?;
        Ok((entries.len() == 3).then_some(entries))
    })
    .await?;
    before.terminate().await?;
    postgres
        .execute(
            "create table public.recorded as select * from outbox.progress; set session_replication_role = replica; \
             delete from outbox.progress; reset session_replication_role",
        )
        .await?;
    let port = port_of(world.redis_url())?;
    let proxy = Proxy::before(port).await?;
    proxy.inflict(Fault::Hold);
    let mut next = Relay::of(&world)
        .set("REDIS_URL", proxy.url(world.redis_url(), port))
        .start()?;
    until("the next one is about to compare", LIMIT, async || {
        Ok((proxy.toll() > 0).then_some(()))
    })
    .await?;
    // WHEN the one before records what it did, and trims it as far as that allows
    let last = entries[2].id;
    postgres
        .execute("insert into outbox.progress select * from public.recorded")
        .await?;
    sqlx::query("insert into outbox.trim_floor (topic, partition, batch_id, position, cause, epoch) values ('t', 0, $1, $2, 'retention', 1)")
        .bind(i64::try_from(last.0)?)
        .bind(i64::try_from(last.1)?)
        .execute(&mut postgres)
        .await?;
    ask(&mut redis, &["XTRIM", STREAM, "MINID", &last.to_string()]).await?;
    proxy.heal();
    // THEN the next one finds nothing lost, puts nothing on the stream again, and goes on
    next.leads().await?;
    postgres
        .execute("select outbox.append('t', '{}', key => 'k')")
        .await?;
    let entries = until("the fourth entry", LIMIT, async || {
        let entries = stream::entries(&mut redis, STREAM).await?;
        Ok((entries.len() > 1).then_some(entries))
    })
    .await?;
    assert_eq!(entries.iter().filter(|entry| entry.id > last).count(), 1);
    let reissues: i64 = sqlx::query_scalar("select count(*) from outbox.reissue")
        .fetch_one(&mut postgres)
        .await?;
    let lost: i64 = sqlx::query_scalar("select count(*) from outbox.stream_action where action = 'lost'")
        .fetch_one(&mut postgres)
        .await?;
    assert_eq!((reissues, lost), (0, 0), "{}", next.log_tail());
    Ok(())
}
