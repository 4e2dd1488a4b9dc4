//! Groups of consumers whose events were removed.

use serde_json::Value;
use system_tests::{Invocation, Readers, Result};

use super::bench::{Bench, KEY, LIMIT, TOPIC};

#[tokio::test]
async fn a_group_that_waits_for_what_was_removed_gets_what_is_left() -> Result {
    // GIVEN a group that stands behind the second of six events, of which the next two are lost and removed
    let mut bench = Bench::new().await?;
    let mut readers = Readers::new(bench.world.log(), TOPIC).await?;
    let first = bench.store("points-1", 2).await?;
    let mut member = readers.join("reader", bench.world.redis_url()).await?;
    readers.effects("reader", 2, LIMIT).await?;
    assert!(member.terminate().await?.success());
    let second = bench.store("points-2", 2).await?;
    let third = bench.store("points-3", 2).await?;
    assert_eq!(bench.remove("points-2", Some(3)).await?, 2);
    let there = bench
        .holds(&[&first[..], &second[..], &third[..]].concat())
        .await?;
    bench.lose(&[there[2].id, there[3].id]).await?;
    // WHEN it goes on
    let mut member = readers.join("reader", bench.world.redis_url()).await?;
    // THEN it applies what is left, and nobody waits
    let done = readers.effects("reader", 4, LIMIT).await?;
    assert_eq!(done, [&first[..], &third[..]].concat());
    bench
        .until("select not exists (select from outbox_ops.holes)")
        .await?;
    assert_eq!(bench.reissues().await?, [(2, 2)]);
    assert_eq!(bench.losses().await?, []);
    assert!(member.terminate().await?.success());
    Ok(())
}

#[tokio::test]
async fn a_group_reads_again_from_the_log_what_is_left() -> Result {
    let mut bench = Bench::new().await?;
    let first = bench.store("points-1", 4).await?;
    bench.store("points-2", 2).await?;
    let third = bench.store("points-3", 2).await?;
    assert_eq!(bench.remove("points-1", Some(3)).await?, 2);
    assert_eq!(bench.remove("points-2", None).await?, 2);
    // AND that is put out again, of which one more was removed since
    bench.lose(&[]).await?;
    bench.holds(&[&first[2..], &third[..]].concat()).await?;
    assert_eq!(bench.remove("points-1", Some(4)).await?, 1);
    // WHEN the stream is trimmed, and a group reads from the beginning
    let last = bench.entries().await?.last().expect("an entry").id;
    let _: i64 = redis::cmd("XTRIM")
        .arg(KEY)
        .arg("MINID")
        .arg(last.to_string())
        .query_async(&mut bench.redis)
        .await?;
    let seek = [
        "consumer", "seek", "--group", "reader", "--topic", TOPIC, "--reason", "rebuild", "--output", "json",
        "--to", "begin", "--yes",
    ];
    let answer = Invocation::of(&bench.world, &seek)?.ask()?;
    assert_eq!(answer.code, 0, "{} {}", answer.output, answer.errors);
    let told: Value = answer.json()?;
    let mut readers = Readers::new(bench.world.log(), TOPIC).await?;
    let mut member = readers.join("reader", bench.world.redis_url()).await?;
    // By key, which are applied beside each other.
    let mut done = readers.effects("reader", 3, LIMIT).await?;
    done.sort_by_key(|id| third.contains(id));
    assert_eq!(done, [&first[3..], &third[..]].concat(), "{told}");
    assert!(member.terminate().await?.success());
    Ok(())
}
