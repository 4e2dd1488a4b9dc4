//! Redis forgets: the group is made again and nothing has a second effect.

use system_tests::Result;

use super::bench::{Bench, STREAM, chain};

#[tokio::test]
async fn a_group_that_was_lost_with_its_stream_is_made_again() -> Result {
    // GIVEN a member at work
    let mut bench = Bench::new().await?;
    let member = bench.start()?;
    for (n, (id, previous)) in (1..).zip(chain(3)) {
        bench.put(&id, Some(&previous), "a", n).await?;
    }
    bench.effects(3).await?;
    // WHEN the stream is deleted, then everything is flushed, each time followed by a re-issue and a new event
    redis::cmd("DEL")
        .arg(STREAM)
        .query_async::<()>(&mut bench.redis)
        .await?;
    bench.put("2-3", Some("1-2"), "a", 3).await?;
    bench.put("2-4", Some("2-3"), "a", 4).await?;
    bench.effects(4).await?;
    redis::cmd("FLUSHDB").query_async::<()>(&mut bench.redis).await?;
    bench.put("3-1", Some("0-0"), "a", 1).await?;
    bench.put("3-2", Some("3-1"), "a", 2).await?;
    bench.put("3-3", Some("3-2"), "a", 3).await?;
    bench.put("3-4", Some("3-3"), "a", 4).await?;
    bench.put("3-5", Some("3-4"), "a", 5).await?;
    let effects = bench.effects(5).await?;
    bench
        .until("select passed_entry = '3-5' from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    // THEN each event had one effect, and the new group has nothing pending
    assert_eq!(
        effects.iter().map(|(_, number)| *number).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5]
    );
    assert_eq!(bench.value::<i64>("select count(*) from effect").await?, 5);
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn something_else_under_the_streams_key_is_waited_out() -> Result {
    // GIVEN a string where the stream belongs
    let mut bench = Bench::new().await?;
    redis::cmd("SET")
        .arg(STREAM)
        .arg("mine")
        .query_async::<()>(&mut bench.redis)
        .await?;
    let member = bench.start()?;
    bench
        .until("select count(holder) = 1 from outbox.consumer_lease")
        .await?;
    // WHEN it is moved away
    redis::cmd("DEL")
        .arg(STREAM)
        .query_async::<()>(&mut bench.redis)
        .await?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    // THEN the consumer goes on by itself
    assert_eq!(bench.effects(1).await?, [("a".to_owned(), 1)]);
    member.stop().await?;
    Ok(())
}
