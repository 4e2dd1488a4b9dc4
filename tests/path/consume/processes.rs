//! Members as processes: stopped and woken, with partitions by hand, paused, idle.

use std::time::Duration;

use outbox_core::consume::Consumer;
use outbox_core::standing::Standing;
use sqlx::{Executor, PgPool};
use system_tests::patience::until;
use system_tests::relay::RelayOptions;
use system_tests::{Login, Relay, Result, Schema, World};
use tokio::time::Instant;
use xtask::servers::Postgres;

use super::bench::{Bench, GROUP, Member, TOPIC};
use super::writer::{Writer, assert_all_in_order, noting};

/// `outbox-relay consume` with a lease of a second.
fn process(bench: &Bench, member: &str) -> RelayOptions {
    let call = [
        "consume",
        "--group",
        GROUP,
        "--topic",
        TOPIC,
        "--call",
        "public.apply",
        "--member",
        member,
    ];
    Relay::command(&call)
        .set("DATABASE_URL", bench.world.database_url())
        .set("REDIS_URL", bench.world.redis_url())
        .set("OUTBOX_CONSUME_LEASE_TTL", "1s")
}

/// Notes each event and hangs at the key named `stuck` until lock 7 is free.
async fn make_function(bench: &Bench) -> Result {
    bench
        .pool
        .execute(
            "create function public.apply(event json) returns void language plpgsql as $$ begin
                 insert into effect (key, number, member)
                 values (event ->> 'partitionkey', (event -> 'data' ->> 'number')::bigint, current_setting('application_name'));
                 if event ->> 'partitionkey' = current_setting('test.stuck', true) then
                     perform pg_advisory_xact_lock_shared(7);
                 end if;
             end $$",
        )
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_process_that_was_stopped_loses_its_partitions_and_commits_nothing_late() -> Result {
    // GIVEN three processes on six partitions, two each; one hangs in an event
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, 6).await?;
    make_function(&bench).await?;
    let key = writer.key_in(3);
    let database = bench.world.log().name().to_owned();
    let setting = format!("alter database \"{database}\" set test.stuck = '{key}'");
    bench.pool.execute(sqlx::AssertSqlSafe(setting)).await?;
    let mut holder = bench.world.connect().await?;
    holder.execute("select pg_advisory_lock(7)").await?;
    let mut processes = [
        process(&bench, "one").start()?,
        process(&bench, "two").start()?,
        process(&bench, "three").start()?,
    ];
    let spread = "select coalesce(string_agg(held::text, ' '), '')
                  from (select count(*) as held from outbox.consumer_lease where expires_at > clock_timestamp() group by holder) held";
    bench.until_is(spread, "2 2 2").await?;
    writer.put(&[&key, &key]).await?;
    bench.wait_for_lock(7).await?;
    // WHEN it is stopped there, its lease runs out, and it goes on
    let name: String = bench
        .value("select holder from outbox.consumer_lease where stream = 'outbox:orders.placed:3'")
        .await?;
    let stopped = ["one", "two", "three"]
        .iter()
        .position(|of| *of == name)
        .unwrap_or_default();
    processes[stopped].pause()?;
    holder.execute("select pg_advisory_unlock(7)").await?;
    let keys: Vec<String> = (0..6).map(|partition| writer.key_in(partition)).collect();
    writer
        .put(&keys.iter().map(String::as_str).collect::<Vec<_>>())
        .await?;
    bench.effects(writer.total()).await?;
    bench.until_is(spread, "3 3").await?;
    processes[stopped].resume()?;
    bench.until_is(spread, "2 2 2").await?;
    writer
        .put(&keys.iter().map(String::as_str).collect::<Vec<_>>())
        .await?;
    bench.effects(writer.total()).await?;
    // THEN every event had one effect, in order: nothing of what it had in hand came late
    assert_all_in_order(&bench, &writer).await?;
    for process in &mut processes {
        process.terminate().await?;
    }
    Ok(())
}

#[tokio::test]
async fn partitions_are_named_on_the_command_line_or_by_a_variable() -> Result {
    // GIVEN a topic of four partitions
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, 4).await?;
    make_function(&bench).await?;
    // WHEN one process names two of them as an argument, another one two by a variable, and a third one none
    let mut first = process(&bench, "first")
        .argument("--partitions")
        .argument("0,2")
        .start()?;
    let mut second = process(&bench, "second")
        .set("OUTBOX_CONSUME_PARTITIONS", "1, 3")
        .start()?;
    let holders = "select coalesce(string_agg(coalesce(holder, ''), ' ' order by stream), '') from outbox.consumer_lease";
    bench.until_is(holders, "first second first second").await?;
    let mut third = process(&bench, "third").start()?;
    third.ready().await?;
    // THEN each has its own, and the third one takes what the first leaves
    let keys: Vec<String> = (0..4).map(|partition| writer.key_in(partition)).collect();
    writer
        .put(&keys.iter().map(String::as_str).collect::<Vec<_>>())
        .await?;
    bench.effects(4).await?;
    bench.until_is(holders, "first second first second").await?;
    first.terminate().await?;
    bench.until_is(holders, "third second third second").await?;
    for process in [&mut second, &mut third] {
        process.terminate().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_paused_consumer_says_by_whom_and_applies_nothing_until_it_is_resumed() -> Result {
    // GIVEN a member at work on two partitions
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, 2).await?;
    let (first, second) = (writer.key_in(0), writer.key_in(1));
    let consumer = noting(bench.describe(), "one").build()?;
    let mut standing = consumer.standing();
    let token = tokio_util::sync::CancellationToken::new();
    let task = tokio::spawn(consumer.run(token.clone()));
    writer.put(&[&first, &second]).await?;
    bench.effects(2).await?;
    // WHEN a person pauses the consumer
    bench
        .pool
        .execute(
            "update outbox.consumer set paused_at = clock_timestamp(), paused_by = 'ann', paused_reason = 'the stock is counted'
             where name = 'stock'",
        )
        .await?;
    let paused = standing
        .wait_for(|standing| standing.cause().is_some())
        .await?
        .clone();
    writer.put(&[&first, &second]).await?;
    bench.until_looked_again().await?;
    // THEN it says so and applies nothing, keeps its streams, and goes on when it is resumed
    assert!(
        paused
            .cause()
            .is_some_and(|cause| cause.contains("ann") && cause.contains("the stock is counted")),
        "{paused:?}"
    );
    assert_eq!(bench.value::<i64>("select count(*) from effect").await?, 2);
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.consumer_lease where holder = 'one' and epoch = 1")
            .await?,
        2
    );
    bench
        .pool
        .execute("update outbox.consumer set paused_at = null, paused_by = null, paused_reason = null")
        .await?;
    bench.effects(4).await?;
    standing
        .wait_for(|standing| *standing == Standing::Leading)
        .await?;
    assert_all_in_order(&bench, &writer).await?;
    token.cancel();
    task.await??;
    Ok(())
}

/// Waits until a query answers true. The server tells nobody.
async fn until_true(pool: &PgPool, query: &'static str) -> Result {
    until(query, Duration::from_secs(120), async || {
        let is_true: bool = sqlx::query_scalar(query).fetch_one(pool).await?;
        Ok(is_true.then_some(()))
    })
    .await
}

#[tokio::test]
async fn an_idle_member_asks_once_a_second_however_many_streams_it_has() -> Result {
    // GIVEN a server that logs every statement, and a member with forty streams and nothing to do
    let postgres = Postgres::options()
        .set("log_statement", "all")
        .set("log_line_prefix", "%a: ");
    let mut world = World::with_own_servers(postgres, Default::default()).await?;
    let database = world.another_database(Schema::Inbox).await?;
    let pool = database.pool().await?;
    let mut redis = world.redis().await?;
    redis::cmd("SET")
        .arg(format!("outbox:@layout:{TOPIC}"))
        .arg("40@0")
        .query_async::<()>(&mut redis)
        .await?;
    let separator = if database.url().contains('?') { '&' } else { '?' };
    let consumer = Consumer::builder(GROUP)
        .database_url(format!(
            "{}{separator}application_name=member",
            database.url_of(Login::Consumer)
        ))
        .redis(world.redis_url_of(Login::Consumer))
        .on(TOPIC, |_, _| Box::pin(async { Ok(()) }));
    let member = Member::start(consumer)?;
    until_true(
        &pool,
        "select count(*) = 40 from outbox.consumer_lease where holder is not null",
    )
    .await?;
    let log = world.postgres()?.log_path();
    let statements = || -> Result<Vec<String>> {
        let log = std::fs::read_to_string(&log)?;
        let lines = log.lines().filter(|line| line.starts_with("member: LOG:  "));
        Ok(lines
            .filter(|line| !line.contains("parameters"))
            .map(str::to_owned)
            .collect())
    };
    // Every session has looked once for what is parked: then they are at rest.
    until("forty sessions at rest", Duration::from_secs(120), async || {
        let looks = statements()?
            .iter()
            .filter(|line| line.contains("Keys of a stream that are tried again"))
            .count();
        Ok((looks >= 40).then_some(()))
    })
    .await?;
    // WHEN it renews its leases twice more
    let before = statements()?.len();
    let begun = Instant::now();
    pool.execute("create table mark as select seen_at from outbox.consumer_member")
        .await?;
    until_true(
        &pool,
        "select member.seen_at > mark.seen_at + interval '5 seconds' from outbox.consumer_member member, mark",
    )
    .await?;
    // THEN it has asked about one statement per second, and the few that it asks once an hour, if that was now
    let asked = statements()?.split_off(before);
    let seconds = begun.elapsed().as_secs_f64();
    assert!(!asked.is_empty(), "the statements are logged in another form");
    assert!(
        (asked.len() as f64) < 1.5 * seconds + 4.0,
        "in {seconds} s: {asked:#?}"
    );
    member.stop().await
}
