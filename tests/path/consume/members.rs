//! Several members: one applies, the next one takes over, and one that lost its lease commits nothing.

use std::sync::Arc;

use sqlx::Executor;
use system_tests::Result;
use tokio::sync::{Notify, Semaphore};

use super::bench::{Bench, Member, TOPIC, chain, note};

#[tokio::test]
async fn of_two_members_one_applies_and_the_other_takes_over_at_once() -> Result {
    // GIVEN two members
    let mut bench = Bench::new().await?;
    let one = Member::start(bench.describe().member("one").on(TOPIC, note))?;
    bench
        .until("select coalesce(bool_or(holder = 'one'), false) from outbox.consumer_lease")
        .await?;
    let two = Member::start(bench.describe().member("two").on(TOPIC, note))?;
    // WHEN events come, and the first member stops in the middle
    let chain = chain(40);
    for (n, (id, previous)) in (1..).zip(&chain[..20]) {
        bench.put(id, Some(previous), "a", n).await?;
    }
    bench.effects(20).await?;
    one.stop().await?;
    for (n, (id, previous)) in (21..).zip(&chain[20..]) {
        bench.put(id, Some(previous), "a", n).await?;
    }
    let effects = bench.effects(40).await?;
    two.stop().await?;
    // THEN the first applied what came before and the second the rest, in order
    assert_eq!(
        effects.iter().map(|(_, number)| *number).collect::<Vec<_>>(),
        (1..=40).collect::<Vec<_>>()
    );
    let members: Vec<(String, i64)> =
        sqlx::query_as("select member, count(*) from effect group by member order by member")
            .fetch_all(&bench.pool)
            .await?;
    assert_eq!(members, [("one".to_owned(), 20), ("two".to_owned(), 20)]);
    assert_eq!(
        bench
            .value::<Option<String>>("select holder from outbox.consumer_lease")
            .await?,
        None
    );
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn the_entries_of_a_dead_member_are_claimed() -> Result {
    // GIVEN entries delivered to a member that died
    let mut bench = Bench::new().await?;
    for (n, (id, previous)) in (1..).zip(chain(250)) {
        bench.put(&id, Some(&previous), "a", n).await?;
    }
    bench.read_as_dead_member(200).await?;
    // WHEN another one starts
    let member = bench.start()?;
    let effects = bench.effects(250).await?;
    member.stop().await?;
    // THEN they are applied first, each once
    assert_eq!(
        effects.iter().map(|(_, number)| *number).collect::<Vec<_>>(),
        (1..=250).collect::<Vec<_>>()
    );
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_crashed_member_is_replaced_when_its_lease_ends() -> Result {
    // GIVEN a member that crashes with an event in its hands
    let mut bench = Bench::new().await?;
    let arrived = Arc::new(Notify::new());
    let signal = arrived.clone();
    let stuck = Member::start(bench.describe().member("one").on(TOPIC, move |tx, event| {
        let signal = signal.clone();
        Box::pin(async move {
            note(tx, event).await?;
            signal.notify_one();
            std::future::pending().await
        })
    }))?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    arrived.notified().await;
    stuck.crash().await;
    // WHEN another one is there
    let member = Member::start(bench.describe().member("two").on(TOPIC, note))?;
    // THEN it applies the event, once
    assert_eq!(bench.effects(1).await?, [("a".to_owned(), 1)]);
    member.stop().await?;
    assert_eq!(bench.value::<String>("select member from effect").await?, "two");
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_takeover_waits_for_what_is_being_committed() -> Result {
    // GIVEN a member in the middle of an event
    let mut bench = Bench::new().await?;
    let (arrived, gate) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let (signal, wait) = (arrived.clone(), gate.clone());
    let member = Member::start(bench.describe().on(TOPIC, move |tx, event| {
        let (signal, wait) = (signal.clone(), wait.clone());
        Box::pin(async move {
            signal.notify_one();
            let _turn = wait.acquire().await?;
            note(tx, event).await
        })
    }))?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    arrived.notified().await;
    // WHEN another one wants the lease's row, as a takeover does
    let taken = bench
        .pool
        .execute("select from outbox.consumer_lease for update nowait")
        .await;
    // THEN it has to wait for the commit
    let code = taken
        .err()
        .and_then(|error| error.as_database_error()?.code().map(String::from));
    assert_eq!(code.as_deref(), Some("55P03"));
    gate.add_permits(1);
    bench.effects(1).await?;
    member.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_member_whose_lease_was_taken_commits_nothing() -> Result {
    // GIVEN a member whose lease is taken while an event is on its way
    let mut bench = Bench::new().await?;
    let member = bench.start()?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    bench.effects(1).await?;
    bench
        .pool
        .execute("update outbox.consumer_lease set epoch = epoch + 1, holder = 'thief', expires_at = clock_timestamp() + interval '1 second'")
        .await?;
    let stolen: i64 = bench.value("select epoch from outbox.consumer_lease").await?;
    bench.put("1-2", Some("1-1"), "a", 2).await?;
    // WHEN the thief says nothing more and its lease ends
    bench.effects(2).await?;
    member.stop().await?;
    // THEN the event was applied under a new lease, not beside the thief
    assert_eq!(
        bench
            .value::<i64>("select epoch from effect where number = 2")
            .await?,
        stolen + 1
    );
    Ok(())
}

#[tokio::test]
async fn a_stop_finishes_what_is_in_hand_and_gives_the_lease_back() -> Result {
    // GIVEN a member in the middle of an event
    let mut bench = Bench::new().await?;
    let (arrived, gate) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let (signal, wait) = (arrived.clone(), gate.clone());
    let member = Member::start(bench.describe().on(TOPIC, move |tx, event| {
        let (signal, wait) = (signal.clone(), wait.clone());
        Box::pin(async move {
            signal.notify_one();
            let _turn = wait.acquire().await?;
            note(tx, event).await
        })
    }))?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    arrived.notified().await;
    // WHEN it is asked to stop before the handler is done
    member.ask_to_stop();
    gate.add_permits(100);
    member.stop().await?;
    // THEN the event is applied and acknowledged, and the stream is free
    assert_eq!(bench.effects(1).await?, [("a".to_owned(), 1)]);
    assert_eq!(bench.pending().await?, 0);
    let free: bool = bench
        .value("select holder is null and expires_at < now() from outbox.consumer_lease")
        .await?;
    assert!(free);
    Ok(())
}
