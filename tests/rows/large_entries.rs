//! Streams that end with large entries: what is read to compare them is bounded, when a relay connects and each second after that.

use redis::aio::MultiplexedConnection;
use sqlx::{Executor, PgConnection};
use system_tests::arrival::{arrived, stream_of};
use system_tests::patience::until;
use system_tests::proxy::{Fault, Proxy, port_of};
use system_tests::stream::calls;
use system_tests::{Relay, Result, World};
use xtask::servers::{Postgres, Redis};

use crate::scene::LIMIT;

const STREAMS: usize = 10;
const LARGE: i32 = 4 << 20;
/// All of them take three seconds.
const BYTES_A_SECOND: u32 = 15_000_000;
/// Four megabytes a round, with room for one that is larger.
const READ_IN_FIVE_ROUNDS: u64 = 32 << 20;

async fn sent(redis: &mut MultiplexedConnection) -> Result<u64> {
    let said: redis::InfoDict = redis::cmd("INFO").arg("stats").query_async(redis).await?;
    Ok(said.get("total_net_output_bytes").unwrap_or_default())
}

/// Waits for so many rounds of comparisons, in each of which every stream is asked how long it is.
async fn rounds(redis: &mut MultiplexedConnection, count: usize) -> Result {
    let before = calls(redis, "xlen").await?;
    until("rounds of comparisons", LIMIT, async || {
        let asked = calls(redis, "xlen").await? - before;
        Ok((asked >= (count * STREAMS) as u64).then_some(()))
    })
    .await
}

async fn is_put_out_again(connection: &mut PgConnection, topic: &str) -> Result {
    until("it is put out again", LIMIT, async || {
        let done: bool = sqlx::query_scalar(
            "select exists (select from outbox_ops.reissues where topic = $1 and state = 'done')",
        )
        .bind(topic)
        .fetch_one(&mut *connection)
        .await?;
        Ok(done.then_some(()))
    })
    .await
}

#[tokio::test]
async fn streams_that_end_with_large_entries_are_compared_in_turns_of_bounded_bytes() -> Result {
    // GIVEN forty megabytes in the last entries of ten streams
    let world = World::with_own_servers(Postgres::options(), Redis::options()).await?;
    let topics: Vec<String> = (0..STREAMS).map(|n| format!("orders.{n}")).collect();
    let mut connection = world.connect().await?;
    connection
        .execute("update outbox.settings set payload_limit_bytes = 16777216")
        .await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    for topic in &topics {
        sqlx::query("select outbox.append($1, json_build_object('large', repeat('x', $2)))")
            .bind(topic)
            .bind(LARGE)
            .execute(&mut connection)
            .await?;
    }
    arrived(&world, &topics, LIMIT).await?;
    assert!(relay.terminate().await?.success());
    // WHEN a relay connects over a link that takes longer for all of them than an answer may take
    let at = port_of(world.redis_url())?;
    let link = Proxy::before(at).await?;
    link.inflict(Fault::Throttle(BYTES_A_SECOND));
    let mut relay = Relay::of(&world)
        .set("REDIS_URL", link.url(world.redis_url(), at))
        .set("OUTBOX_REDIS_RESPONSE_TIMEOUT", "2s")
        .set("OUTBOX_PUBLISH_LOOK_EVERY", "1h")
        .start()?;
    // THEN it leads
    relay.leads().await?;
    link.heal();
    // AND reads no more of them each second than it may
    let mut redis = world.redis().await?;
    rounds(&mut redis, 2).await?;
    let before = sent(&mut redis).await?;
    rounds(&mut redis, 5).await?;
    let read = sent(&mut redis).await? - before;
    eprintln!("{} MiB were read in five rounds", read >> 20);
    assert!(read <= READ_IN_FIVE_ROUNDS, "{read} bytes");
    assert!(read >= 1 << 20, "{read} bytes: nothing was compared");
    // AND what vanishes is noticed all the same, at once where the length says so, and in turn where it does not
    redis::cmd("DEL")
        .arg(stream_of(&topics[3]))
        .query_async::<()>(&mut redis)
        .await?;
    is_put_out_again(&mut connection, &topics[3]).await?;
    let stream = stream_of(&topics[7]);
    let last: redis::streams::StreamRangeReply = redis::cmd("XRANGE")
        .arg(&[&stream, "-", "+"])
        .query_async(&mut redis)
        .await?;
    redis::pipe()
        .atomic()
        .cmd("XADD")
        .arg(&[&stream, "*", "who", "knows"])
        .cmd("XDEL")
        .arg(&[&stream, &last.ids[0].id])
        .query_async::<()>(&mut redis)
        .await?;
    is_put_out_again(&mut connection, &topics[7]).await?;
    assert!(relay.terminate().await?.success());
    Ok(())
}
