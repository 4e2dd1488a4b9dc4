//! The traces of the protocol that broke simpler consumers.

use system_tests::Result;

use super::bench::{Bench, GROUP, STREAM};

async fn numbers(bench: &mut Bench, count: i64) -> Result<Vec<i64>> {
    Ok(bench
        .effects(count)
        .await?
        .into_iter()
        .map(|(_, number)| number)
        .collect())
}

#[tokio::test]
async fn a_zombies_entry_on_a_recreated_stream_waits_for_the_reissue() -> Result {
    // GIVEN a group that passed e1, and a stream that was lost
    let mut bench = Bench::new().await?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    let member = bench.start()?;
    bench.effects(1).await?;
    redis::cmd("DEL")
        .arg(STREAM)
        .query_async::<()>(&mut bench.redis)
        .await?;
    // WHEN a zombie's e3 lands before the re-issue of e2 and e3; a stranger behind it shows that reading goes on
    bench.put("2-3", Some("2-2"), "a", 3).await?;
    bench.put("2-9", None, "s", 99).await?;
    assert_eq!(numbers(&mut bench, 2).await?, [1, 99]);
    bench.put("3-2", Some("1-1"), "a", 2).await?;
    bench.put("3-3", Some("3-2"), "a", 3).await?;
    bench
        .until("select passed_entry = '3-3' from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    // THEN e3 was applied once and after e2; the zombie's entry is acknowledged without effect
    assert_eq!(numbers(&mut bench, 4).await?, [1, 99, 2, 3]);
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_new_owner_that_reads_before_it_claims_keeps_the_order() -> Result {
    // GIVEN a group that passed e1; e2 is with a dead member, e3 is not read yet
    let mut bench = Bench::new().await?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    let member = bench.start()?;
    bench.effects(1).await?;
    member.stop().await?;
    bench.put("1-2", Some("1-1"), "a", 2).await?;
    bench.read_as_dead_member(1).await?;
    bench.put("1-3", Some("1-2"), "a", 3).await?;
    // WHEN a new owner starts
    let member = bench.start()?;
    // THEN the dead one's entry comes first
    assert_eq!(numbers(&mut bench, 3).await?, [1, 2, 3]);
    member.stop().await?;
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_entry_that_slipped_to_an_old_member_releases_what_was_held() -> Result {
    // GIVEN an owner at work, and an old member's read that takes e2 away under its hands
    let mut bench = Bench::new().await?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    let member = bench.start()?;
    bench.effects(1).await?;
    // Both in one go, so that the old member's read is served from what the owner has not seen.
    redis::pipe()
        .atomic()
        .cmd("XADD")
        .arg(STREAM)
        .arg("1-2")
        .arg("event")
        .arg(super::bench::event(Some("1-1"), "a", 2).to_string())
        .cmd("XREADGROUP")
        .arg("GROUP")
        .arg(GROUP)
        .arg("dead")
        .arg("STREAMS")
        .arg(STREAM)
        .arg(">")
        .cmd("XADD")
        .arg(STREAM)
        .arg("1-3")
        .arg("event")
        .arg(super::bench::event(Some("1-2"), "a", 3).to_string())
        .query_async::<()>(&mut bench.redis)
        .await?;
    // THEN e3 waits until e2 was found with the old member
    assert_eq!(numbers(&mut bench, 3).await?, [1, 2, 3]);
    member.stop().await?;
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_hole_is_kept_pending_and_not_passed() -> Result {
    // GIVEN an entry that was deleted before anyone read it
    let mut bench = Bench::new().await?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    let member = bench.start()?;
    bench.effects(1).await?;
    member.stop().await?;
    bench.put("1-2", Some("1-1"), "a", 2).await?;
    bench.put("1-3", Some("1-2"), "a", 3).await?;
    redis::cmd("XDEL")
        .arg(STREAM)
        .arg("1-2")
        .query_async::<()>(&mut bench.redis)
        .await?;
    bench.put("1-9", None, "s", 99).await?;
    // WHEN a member consumes what is left
    let member = bench.start()?;
    let before = numbers(&mut bench, 2).await?;
    member.stop().await?;
    // THEN its successor is neither applied nor lost
    assert_eq!(before, [1, 99]);
    assert_eq!(bench.pending().await?, 1);
    // AND what the relay re-issues closes the hole, in order
    bench.put("2-2", Some("1-1"), "a", 2).await?;
    bench.put("2-3", Some("2-2"), "a", 3).await?;
    let member = bench.start()?;
    assert_eq!(numbers(&mut bench, 4).await?, [1, 99, 2, 3]);
    bench
        .until("select passed_entry = '2-3' from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_new_group_begins_where_a_trimmed_stream_begins() -> Result {
    // GIVEN a stream whose beginning was trimmed
    let mut bench = Bench::new().await?;
    for (n, (id, previous)) in (1..).zip(super::bench::chain(5)) {
        bench.put(&id, Some(&previous), "a", n).await?;
    }
    redis::cmd("XTRIM")
        .arg(STREAM)
        .arg("MINID")
        .arg("1-4")
        .query_async::<()>(&mut bench.redis)
        .await?;
    // WHEN a group that never passed anything starts THEN it asks, since what precedes may have been lost
    let member = bench.start()?;
    bench.relay_says_trimmed(STREAM, "1-3").await?;
    // AND when the relay says that it was trimmed, it begins with the first entry it finds
    assert_eq!(numbers(&mut bench, 2).await?, [4, 5]);
    member.stop().await?;
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn what_a_stream_brings_from_behind_the_gate_has_no_effect() -> Result {
    // GIVEN a group that passed e1 and e2, and a stream that was lost
    let mut bench = Bench::new().await?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    bench.put("1-5", Some("1-1"), "a", 2).await?;
    let member = bench.start()?;
    bench.effects(2).await?;
    redis::cmd("DEL")
        .arg(STREAM)
        .query_async::<()>(&mut bench.redis)
        .await?;
    // WHEN it brings an entry from behind, of an event that the inbox does not remember, and then the next one
    bench.put("1-3", Some("1-1"), "a", 7).await?;
    bench.put("1-6", Some("1-5"), "a", 3).await?;
    // THEN only the next one has an effect, and the other is acknowledged
    assert_eq!(numbers(&mut bench, 3).await?, [1, 2, 3]);
    bench
        .until("select passed_entry = '1-6' from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    assert_eq!(numbers(&mut bench, 3).await?, [1, 2, 3]);
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}
