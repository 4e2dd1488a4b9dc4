//! Members share partitions: evenly, through joining, leaving and crashing, and what need not move does not.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::Executor;
use system_tests::{Login, Result};

use super::bench::{Bench, Member};
use super::writer::{Writer, assert_all_in_order, noting};

const PARTITIONS: u32 = 6;

/// Who has how many streams, by name, once none is free: `one 2, two 2`.
async fn until_spread(bench: &mut Bench, spread: &'static str) -> Result {
    bench
        .until_is(
            "select coalesce(string_agg(holder || ' ' || held, ', ' order by holder), '')
             from (select holder, count(*) as held from outbox.consumer_lease where expires_at > clock_timestamp() group by holder) held",
            spread,
        )
        .await
}

/// The epoch of every stream.
async fn epochs(bench: &Bench) -> Result<BTreeMap<String, (String, i64)>> {
    let rows: Vec<(String, String, i64)> =
        sqlx::query_as("select stream, coalesce(holder, ''), epoch from outbox.consumer_lease")
            .fetch_all(&bench.pool)
            .await?;
    Ok(rows
        .into_iter()
        .map(|(stream, holder, epoch)| (stream, (holder, epoch)))
        .collect())
}

/// How many streams changed hands between two looks.
fn moved(before: &BTreeMap<String, (String, i64)>, after: &BTreeMap<String, (String, i64)>) -> usize {
    before
        .iter()
        .filter(|(stream, lease)| after.get(*stream) != Some(lease))
        .count()
}

fn start(bench: &Bench, name: &'static str) -> Result<Member> {
    Member::start(noting(bench.describe(), name))
}

/// Every partition gets events.
async fn put_everywhere(writer: &mut Writer) -> Result {
    let keys: Vec<String> = (0..30).map(|n| format!("key-{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    writer.put(&keys).await
}

#[tokio::test]
async fn three_members_take_two_of_six_partitions_each_and_apply_all() -> Result {
    // GIVEN a topic of six partitions with events in each
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, PARTITIONS).await?;
    put_everywhere(&mut writer).await?;
    // WHEN three members start at once
    let members = [
        start(&bench, "one")?,
        start(&bench, "two")?,
        start(&bench, "three")?,
    ];
    until_spread(&mut bench, "one 2, three 2, two 2").await?;
    put_everywhere(&mut writer).await?;
    bench.effects(writer.total()).await?;
    // THEN each has applied some, everything once and in order
    let appliers: i64 = bench.value("select count(distinct member) from effect").await?;
    assert_eq!(appliers, 3);
    assert_all_in_order(&bench, &writer).await?;
    for member in members {
        member.stop().await?;
    }
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.consumer_member")
            .await?,
        0
    );
    Ok(())
}

#[tokio::test]
async fn who_joins_gets_a_share_and_nothing_else_changes_hands() -> Result {
    // GIVEN a member that applies all six
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, PARTITIONS).await?;
    let one = start(&bench, "one")?;
    until_spread(&mut bench, "one 6").await?;
    let alone = epochs(&bench).await?;
    // WHEN a second and a third one join, under load
    put_everywhere(&mut writer).await?;
    let two = start(&bench, "two")?;
    until_spread(&mut bench, "one 3, two 3").await?;
    let both = epochs(&bench).await?;
    put_everywhere(&mut writer).await?;
    let three = start(&bench, "three")?;
    until_spread(&mut bench, "one 2, three 2, two 2").await?;
    let all = epochs(&bench).await?;
    bench.effects(writer.total()).await?;
    // THEN three streams changed hands the first time, two the second time, and none but these
    assert_eq!((moved(&alone, &both), moved(&both, &all)), (3, 2));
    assert_eq!(all.values().map(|(_, epoch)| epoch).sum::<i64>(), 6 + 3 + 2);
    assert_all_in_order(&bench, &writer).await?;
    for member in [one, two, three] {
        member.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_a_member_that_leaves_or_crashes_had_is_shared_and_nothing_else_changes_hands() -> Result {
    // GIVEN three members with two each
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, PARTITIONS).await?;
    let members = [
        start(&bench, "one")?,
        start(&bench, "two")?,
        start(&bench, "three")?,
    ];
    until_spread(&mut bench, "one 2, three 2, two 2").await?;
    let [one, two, three] = members;
    let before = epochs(&bench).await?;
    // WHEN one leaves
    put_everywhere(&mut writer).await?;
    three.stop().await?;
    until_spread(&mut bench, "one 3, two 3").await?;
    let left = epochs(&bench).await?;
    // THEN its two streams moved, and when another one crashes its three do
    assert_eq!(moved(&before, &left), 2);
    put_everywhere(&mut writer).await?;
    two.crash().await;
    until_spread(&mut bench, "one 6").await?;
    let crashed = epochs(&bench).await?;
    assert_eq!(moved(&left, &crashed), 3);
    put_everywhere(&mut writer).await?;
    bench.effects(writer.total()).await?;
    assert_all_in_order(&bench, &writer).await?;
    one.stop().await
}

#[tokio::test]
async fn a_lease_that_was_lost_stops_its_lane_and_no_other() -> Result {
    // GIVEN a member that applies six partitions
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, PARTITIONS).await?;
    let member = start(&bench, "one")?;
    until_spread(&mut bench, "one 6").await?;
    let before = epochs(&bench).await?;
    // WHEN one of its leases is taken away
    sqlx::query(
        "update outbox.consumer_lease set epoch = epoch + 1, holder = 'thief', expires_at = clock_timestamp() + interval '500 ms'
         where stream = $1",
    )
    .bind(writer.stream(4))
    .execute(&bench.pool)
    .await?;
    put_everywhere(&mut writer).await?;
    bench.effects(writer.total()).await?;
    // THEN it was taken again after the thief, the others went on under their leases
    let after = epochs(&bench).await?;
    assert_eq!(moved(&before, &after), 1);
    assert_eq!(after[&writer.stream(4)].1, before[&writer.stream(4)].1 + 2);
    assert_all_in_order(&bench, &writer).await?;
    member.stop().await
}

#[tokio::test]
async fn a_static_assignment_is_left_to_its_member_and_the_others_share_the_rest() -> Result {
    // GIVEN two members that share six partitions
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, PARTITIONS).await?;
    let (one, two) = (start(&bench, "one")?, start(&bench, "two")?);
    until_spread(&mut bench, "one 3, two 3").await?;
    // WHEN a third one names two of them
    let named = Member::start(noting(bench.describe(), "named").partitions([0, 2]))?;
    until_spread(&mut bench, "named 2, one 2, two 2").await?;
    // THEN it has these two, and when it is gone the others have them again
    let holders: Vec<String> =
        sqlx::query_scalar("select stream from outbox.consumer_lease where holder = 'named' order by stream")
            .fetch_all(&bench.pool)
            .await?;
    assert_eq!(holders, [writer.stream(0), writer.stream(2)]);
    named.stop().await?;
    until_spread(&mut bench, "one 3, two 3").await?;
    put_everywhere(&mut writer).await?;
    bench.effects(writer.total()).await?;
    assert_all_in_order(&bench, &writer).await?;
    one.stop().await?;
    two.stop().await
}

#[tokio::test]
async fn handlers_that_take_every_connection_cost_no_lease() -> Result {
    // GIVEN a pool of four that two handlers and the service itself use up, and a member with a short lease
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, 2).await?;
    bench
        .pool
        .execute(
            "create function hold() returns void language sql as 'select pg_advisory_xact_lock_shared(7)'",
        )
        .await?;
    let mut holder = bench.world.connect().await?;
    holder.execute("select pg_advisory_lock(7)").await?;
    let lease = Duration::from_secs(1);
    let small = sqlx::postgres::PgPoolOptions::new()
        .max_connections(4)
        .connect(&bench.world.log().url_of(Login::Consumer))
        .await?;
    let busy = bench
        .describe()
        .database(small.clone())
        .lease(lease)
        .member("busy");
    let busy = Member::start(busy.on(super::bench::TOPIC, |tx, event| {
        Box::pin(async move {
            sqlx::query("select hold()").execute(&mut *tx).await?;
            let insert = sqlx::query("insert into effect (key, number, member) values ($1, 1, 'busy')");
            insert.bind(&event.key).execute(tx).await?;
            Ok(())
        })
    }))?;
    until_spread(&mut bench, "busy 2").await?;
    let (first, second) = (writer.key_in(0), writer.key_in(1));
    writer.put(&[&first, &second]).await?;
    bench.wait_for_locks(7, 2).await?;
    let own = small.acquire().await?;
    // WHEN its two handlers hang for two more leases
    bench
        .pool
        .execute("create table mark as select clock_timestamp() as at")
        .await?;
    bench
        .until("select min(expires_at) > (select at from mark) + interval '3 seconds' from outbox.consumer_lease")
        .await?;
    drop(own);
    holder.execute("select pg_advisory_unlock(7)").await?;
    bench.effects(2).await?;
    // THEN they commit under the leases they began with
    assert_eq!(
        bench
            .value::<i64>("select sum(epoch)::bigint from outbox.consumer_lease")
            .await?,
        2
    );
    busy.stop().await
}
