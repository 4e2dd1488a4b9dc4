//! Members that die again and again, and one that the scheduler forgot: still one effect each, in order per key.

use std::time::Duration;

use outbox_core::standing::Standing;
use rand::Rng;
use sqlx::Executor;
use system_tests::relay::RelayOptions;
use system_tests::{Login, Relay, Result};

use super::bench::{Bench, GROUP, Member, STREAM, TOPIC, chain, event, note};

const EVENTS: u64 = 3000;

#[tokio::test]
async fn members_that_crash_again_and_again_leave_one_effect_each_in_order() -> Result {
    // GIVEN 3000 events of 20 keys
    let mut bench = Bench::new().await?;
    let mut pipe = redis::pipe();
    for (n, (id, previous)) in (1..).zip(chain(EVENTS)) {
        let event = event(Some(&previous), &format!("key-{}", n % 20), n);
        pipe.cmd("XADD")
            .arg(STREAM)
            .arg(id)
            .arg("event")
            .arg(event.to_string())
            .ignore();
    }
    pipe.query_async::<()>(&mut bench.redis).await?;
    let start = |bench: &Bench, name: usize| {
        let builder = bench.describe().lease(Duration::from_millis(300)).batch(8);
        Member::start(builder.member(format!("member-{name}")).on(TOPIC, note))
    };
    // WHEN one of two members crashes every few effects
    let mut members = vec![start(&bench, 0)?, start(&bench, 1)?];
    let mut applied = 0;
    for crash in 2..14 {
        applied += rand::rng().random_range(20..120);
        bench.effects(applied).await?;
        members.remove(0).crash().await;
        members.push(start(&bench, crash)?);
    }
    let effects = bench.effects(EVENTS as i64).await?;
    bench
        .until("select passed_entry = '1-3000' from outbox_ops.inbox")
        .await?;
    for member in members {
        member.stop().await?;
    }
    // THEN nothing is lost, doubled or out of order
    assert_eq!(
        bench.value::<i64>("select count(*) from effect").await?,
        EVENTS as i64
    );
    for key in 0..20 {
        let name = format!("key-{key}");
        let numbers: Vec<i64> = effects
            .iter()
            .filter(|(key, _)| *key == name)
            .map(|(_, number)| *number)
            .collect();
        assert!(
            numbers.is_sorted() && numbers.len() == EVENTS as usize / 20,
            "{name}: {numbers:?}"
        );
    }
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

/// `outbox-relay consume` with a lease of a second.
fn process(bench: &Bench, member: &str) -> RelayOptions {
    let call = [
        "consume",
        "--group",
        GROUP,
        "--topic",
        TOPIC,
        "--call",
        "public.slow",
        "--member",
        member,
    ];
    Relay::command(&call)
        .set("DATABASE_URL", bench.world.database_url())
        .set("REDIS_URL", bench.world.redis_url())
        .set("OUTBOX_CONSUME_LEASE_TTL", "1s")
}

#[tokio::test]
async fn a_process_that_stops_in_the_middle_of_an_event_is_replaced_and_commits_nothing_late() -> Result {
    // GIVEN a process whose function hangs at a lock, stopped there by SIGSTOP
    let mut bench = Bench::new().await?;
    bench
        .pool
        .execute(
            "create function public.slow(event json) returns void language sql as $$
                 insert into effect (key, number, member)
                 select event ->> 'partitionkey', (event -> 'data' ->> 'number')::bigint, holder from outbox.consumer_lease;
                 select pg_advisory_xact_lock_shared(7);
             $$",
        )
        .await?;
    let mut holder = bench.world.connect().await?;
    holder.execute("select pg_advisory_lock(7)").await?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    bench.put("1-2", Some("1-1"), "a", 2).await?;
    let mut stopped = process(&bench, "stopped").start()?;
    stopped.ready().await?;
    bench.wait_for_lock(7).await?;
    stopped.pause()?;
    holder.execute("select pg_advisory_unlock(7)").await?;
    // WHEN another process is there, and the stopped one goes on after the takeover
    let mut other = process(&bench, "other").start()?;
    let effects = bench.effects(2).await?;
    stopped.resume()?;
    bench.put("1-3", Some("1-2"), "a", 3).await?;
    bench.effects(3).await?;
    // THEN each event had one effect, all of them by the other
    assert_eq!(effects, [("a".to_owned(), 1), ("a".to_owned(), 2)]);
    let by_other: i64 = bench
        .value("select count(*) from effect where member = 'other'")
        .await?;
    assert_eq!(
        (by_other, bench.value::<i64>("select count(*) from effect").await?),
        (3, 3)
    );
    other.terminate().await?;
    stopped.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn a_login_with_the_consumers_role_is_enough() -> Result {
    // GIVEN a login that may do what a consumer may, and what its handler needs
    let mut bench = Bench::new().await?;
    let login = format!("login_{}", bench.world.log().name());
    let grant =
        format!("create role {login} login in role outbox_consumer; grant insert on effect to {login}");
    bench.pool.execute(sqlx::AssertSqlSafe(grant)).await?;
    let url = bench
        .world
        .database_url()
        .replacen("postgres@", &format!("{login}@"), 1);
    // WHEN it consumes an event and gives another one up
    let builder = outbox_core::consume::Consumer::builder(GROUP)
        .database_url(url)
        .redis(bench.world.redis_url_of(Login::Consumer));
    let consumer = builder.discovery(None).on(TOPIC, note).build()?;
    let mut standing = consumer.standing();
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    bench.put_raw("1-2", "event", b"not an event").await?;
    let token = tokio_util::sync::CancellationToken::new();
    let task = tokio::spawn(consumer.run(token.clone()));
    bench.effects(1).await?;
    bench.until("select count(*) = 1 from outbox.dead_letter").await?;
    // THEN nothing is refused, and it stands as one that works
    standing
        .wait_for(|standing| *standing == Standing::Leading)
        .await?;
    token.cancel();
    task.await??;
    Ok(())
}
