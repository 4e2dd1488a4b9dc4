//! What strangers add to streams.

use redis::aio::MultiplexedConnection;
use system_tests::Result;
use system_tests::past::{Past, STREAM, Scene};
use xtask::servers::Postgres;

use crate::apply::stands;

async fn add(redis: &mut MultiplexedConnection, id: &str) -> Result<String> {
    Ok(redis::cmd("XADD")
        .arg(STREAM)
        .arg(id)
        .arg(&["note", "of a stranger"])
        .query_async(redis)
        .await?)
}

async fn take_off(redis: &mut MultiplexedConnection, id: &str) -> Result {
    redis::cmd("XDEL")
        .arg(STREAM)
        .arg(id)
        .query_async::<()>(redis)
        .await?;
    Ok(())
}

#[tokio::test]
async fn an_id_far_ahead_of_the_clock_does_not_become_that_of_the_era() -> Result {
    // GIVEN a database that went back, and a stream on which a stranger put an entry of the year 5138
    let mut scene = Scene::after(Past::BaseBackup).await?;
    let last = scene.entries().await?.last().map(|entry| entry.id.to_string());
    add(&mut scene.redis, "99999999999999-7").await?;
    // WHEN a recovery is asked for, THEN it is refused, and says where and what to do
    for strategy in ["trust-database", "trust-stream", "republish"] {
        let refused = scene.try_apply(strategy)?;
        assert_eq!(refused.code, 4, "{strategy}: {}", refused.errors);
        for word in [STREAM, "99999999999999", "XSETID"] {
            assert!(refused.errors.contains(word), "{strategy}: {}", refused.errors);
        }
    }
    assert_eq!(stands(&scene).await?, (1, Vec::new()));
    // WHEN that was done, THEN it goes on, with ids of the clock
    take_off(&mut scene.redis, "99999999999999-7").await?;
    redis::cmd("XSETID")
        .arg(STREAM)
        .arg(last)
        .query_async::<()>(&mut scene.redis)
        .await?;
    let applied = scene.apply("trust-database")?;
    let first = applied["applied"]["batch_id"].as_u64().unwrap_or(u64::MAX);
    assert!(first < 90_000_000_000_000, "{first}");
    Ok(())
}

#[tokio::test]
async fn what_a_stranger_adds_does_not_make_a_stream_ahead() -> Result {
    // GIVEN a database that published 5 events, cut 5 more that never left, and was moved by a dump
    let mut scene = Scene::new(Postgres::options()).await?;
    scene.known = scene.publish(5).await?;
    scene.cut_while_the_sink_is_away(5).await?;
    let file = tempfile::NamedTempFile::new()?;
    scene.dump(file.path())?;
    scene.load(file.path()).await?;
    // AND a stranger, who wrote to the stream since
    let id = add(&mut scene.redis, "*").await?;
    take_off(&mut scene.redis, &id).await?;
    // WHEN the move is said to be planned, THEN that is taken for what it is
    scene.apply("continue")?;
    // AND what was cut comes, though the stream had a higher id
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    assert_eq!(scene.arrived(10).await?, scene.in_the_log().await?);
    Ok(())
}
