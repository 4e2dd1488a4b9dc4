//! `outbox-relay consumer`: what it shows of groups, and what it does to them.

use std::time::Duration;

use outbox_core::standing::Standing;
use serde_json::Value;
use sqlx::Executor;
use system_tests::relay::RelayOptions;
use system_tests::{Answer, Failure, Invocation, Relay, Result, World};

use crate::consume::bench::{Bench, GROUP, Member, STREAM, TOPIC, chain, note};

fn ask(world: &World, arguments: &[&str]) -> Result<Answer> {
    let mut line = vec!["consumer"];
    line.extend(arguments);
    line.extend(["--output", "json"]);
    Invocation::of(world, &line)?.ask()
}

/// The row of the group in `consumer ls`.
fn listed(world: &World) -> Result<Value> {
    let answer = ask(world, &["ls"])?;
    assert_eq!(answer.code, 0, "{}", answer.errors);
    let rows = answer.json()?;
    let rows = rows.as_array().cloned().unwrap_or_default();
    let found = rows.into_iter().find(|row| row["consumer"] == GROUP);
    found.ok_or_else(|| Failure::new(format!("no {GROUP} in {}", answer.output)))
}

#[tokio::test]
async fn a_group_is_paused_shown_with_its_lag_and_resumed() -> Result {
    // GIVEN a group that applied three events
    let mut bench = Bench::new().await?;
    let chain = chain(5);
    for (n, (id, previous)) in (1..).zip(&chain[..3]) {
        bench.put(id, Some(previous), "a", n).await?;
    }
    let consumer = bench.describe().on(TOPIC, note).build()?;
    let mut standing = consumer.standing();
    let member = Member::run(consumer);
    bench.effects(3).await?;
    bench
        .until("select passed_entry = '1-3' from outbox_ops.inbox")
        .await?;
    let row = listed(&bench.world)?;
    assert_eq!(
        (&row["lag_events"], &row["lag_seconds"]),
        (&0.into(), &0.0.into())
    );
    assert_eq!((&row["state"], &row["cause"]), (&"applying".into(), &Value::Null));
    // WHEN it is paused, and two more come
    let paused = ask(
        &bench.world,
        &["pause", "--group", GROUP, "--reason", "moving the tables"],
    )?;
    assert_eq!(paused.code, 0, "{}", paused.errors);
    let is_paused = |standing: &Standing| {
        standing
            .cause()
            .is_some_and(|cause| cause.contains("moving the tables"))
    };
    let waited = tokio::time::timeout(Duration::from_secs(120), standing.wait_for(is_paused));
    waited
        .await
        .map_err(|_| Failure::new("the member does not pause"))??;
    for (n, (id, previous)) in (4..).zip(&chain[3..]) {
        bench.put(id, Some(previous), "a", n).await?;
    }
    // THEN they wait, and it is said for how long and why
    let row = listed(&bench.world)?;
    assert_eq!((&row["state"], &row["lag_events"]), (&"paused".into(), &2.into()));
    assert!(row["lag_seconds"].as_f64() > Some(0.0), "{row}");
    assert!(
        row["cause"]
            .as_str()
            .unwrap_or_default()
            .contains("moving the tables"),
        "{row}"
    );
    let shown = ask(&bench.world, &["show", "--group", GROUP])?.json()?;
    assert_eq!(shown["streams"][0]["passed_entry"], "1-3");
    assert_eq!(bench.value::<i64>("select count(*) from effect").await?, 3);
    // AND they are applied when it is resumed
    let resumed = ask(&bench.world, &["resume", "--group", GROUP, "--reason", "done"])?;
    assert_eq!(resumed.code, 0, "{}", resumed.errors);
    let numbers: Vec<i64> = bench
        .effects(5)
        .await?
        .into_iter()
        .map(|(_, number)| number)
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    member.stop().await?;
    let audit: Vec<(String, String)> =
        sqlx::query_as("select action, reason from outbox.consumer_audit order by number")
            .fetch_all(&bench.pool)
            .await?;
    let expected = [("pause", "moving the tables"), ("resume", "done")];
    assert_eq!(
        audit,
        expected.map(|(action, reason)| (action.to_owned(), reason.to_owned()))
    );
    Ok(())
}

#[tokio::test]
async fn what_is_held_or_without_a_member_is_named_and_without_redis_the_lag_is_unknown() -> Result {
    // GIVEN a group without a member, behind on its stream
    let mut bench = Bench::new().await?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    let member = bench.start()?;
    bench.effects(1).await?;
    bench
        .until("select passed_entry = '1-1' from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    bench.put("1-2", Some("1-1"), "a", 2).await?;
    let row = listed(&bench.world)?;
    assert!(
        row["cause"]
            .as_str()
            .unwrap_or_default()
            .contains("no member holds"),
        "{row}"
    );
    // WHEN the entry after the one last passed is gone, THEN the hole is named
    redis::cmd("XDEL")
        .arg(STREAM)
        .arg("1-2")
        .query_async::<()>(&mut bench.redis)
        .await?;
    bench.put("1-3", Some("1-2"), "a", 3).await?;
    let row = listed(&bench.world)?;
    let cause = row["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("1-3 waits for its predecessor 1-2"), "{row}");
    // AND without Redis the rest is shown
    let alone = Invocation::new(&["consumer", "ls"])?
        .set("DATABASE_URL", bench.world.database_url())
        .ask()?;
    assert_eq!(alone.code, 0, "{}", alone.errors);
    assert!(
        alone.output.contains("unknown") && alone.output.contains("REDIS_URL is not set"),
        "{}",
        alone.output
    );
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_is_refused_with_what_is() -> Result {
    // GIVEN a group without a member
    let bench = Bench::new().await?;
    let add = "insert into outbox.consumer (name) values ('stock');
               insert into outbox.consumer_lease (consumer, stream) values ('stock', 'outbox:orders.placed')";
    bench.pool.execute(add).await?;
    // THEN what cannot be done is refused, saying what could
    let refusals: [(&[&str], &str); 4] = [
        (&["pause", "--group", "stok", "--reason", "r"], "Known are: stock"),
        (&["resume", "--group", "stock", "--reason", "r"], "is not paused"),
        (
            &["claim", "--group", "stock", "--stream", STREAM, "--reason", "r"],
            "nobody holds",
        ),
        (
            &[
                "claim", "--group", "stock", "--stream", "outbox:x", "--reason", "r",
            ],
            "consumer show",
        ),
    ];
    for (arguments, said) in refusals {
        let answer = ask(&bench.world, arguments)?;
        assert_eq!(answer.code, 4, "{arguments:?}: {}", answer.errors);
        assert!(answer.errors.contains(said), "{}", answer.errors);
    }
    assert_eq!(ask(&bench.world, &["pause", "--group", "stock"])?.code, 2);
    assert_eq!(ask(&bench.world, &["show", "--group", "stok"])?.code, 1);
    Ok(())
}

/// `outbox-relay consume` with a lease far longer than the test.
fn process(bench: &Bench, member: &str) -> RelayOptions {
    let call = [
        "consume",
        "--group",
        GROUP,
        "--topic",
        TOPIC,
        "--call",
        "public.take",
        "--member",
        member,
    ];
    Relay::command(&call)
        .set("DATABASE_URL", bench.world.database_url())
        .set("REDIS_URL", bench.world.redis_url())
        .set("OUTBOX_CONSUME_LEASE_TTL", "60s")
}

#[tokio::test]
async fn a_stream_is_claimed_from_a_member_that_does_nothing() -> Result {
    // GIVEN a member that is stopped by SIGSTOP, with a lease of a minute
    let mut bench = Bench::new().await?;
    bench
        .pool
        .execute(
            "create function public.take(event json) returns void language sql as $$
                 insert into effect (key, number, member)
                 select event ->> 'partitionkey', (event -> 'data' ->> 'number')::bigint, holder from outbox.consumer_lease $$",
        )
        .await?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    let mut stuck = process(&bench, "stuck").start()?;
    bench.effects(1).await?;
    bench
        .until("select passed_entry = '1-1' from outbox_ops.inbox")
        .await?;
    stuck.pause()?;
    let mut other = process(&bench, "other").start()?;
    other.ready().await?;
    bench.put("1-2", Some("1-1"), "a", 2).await?;
    // WHEN its stream is claimed
    let claimed = ask(
        &bench.world,
        &[
            "claim", "--group", GROUP, "--stream", STREAM, "--reason", "it hangs",
        ],
    )?;
    assert_eq!(claimed.code, 0, "{}", claimed.errors);
    assert_eq!(claimed.json()?["former_holder"], "stuck");
    // THEN the other one applies it, and what wakes up commits nothing
    bench.effects(2).await?;
    stuck.resume()?;
    bench.put("1-3", Some("1-2"), "a", 3).await?;
    bench.effects(3).await?;
    let members: Vec<(i64, String)> = sqlx::query_as("select number, member from effect order by n")
        .fetch_all(&bench.pool)
        .await?;
    let expected = [(1, "stuck"), (2, "other"), (3, "other")];
    assert_eq!(
        members,
        expected.map(|(number, member)| (number, member.to_owned()))
    );
    let audit: String = bench
        .value("select target ->> 'holder' from outbox.consumer_audit")
        .await?;
    assert_eq!(audit, "stuck");
    other.terminate().await?;
    stuck.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn a_group_that_is_gone_is_named_by_ls_and_forgotten_by_a_person() -> Result {
    // GIVEN a group that left long ago without reading all of its stream, and whose member still runs at first
    let mut bench = Bench::new().await?;
    let chain = chain(1);
    bench.put(&chain[0].0, Some(&chain[0].1), "a", 1).await?;
    let member = Member::run(bench.describe().on(TOPIC, note).build()?);
    bench.effects(1).await?;
    let sql = format!(
        "insert into outbox.stream_mark (consumer, stream, retention_seconds, published_batch)
         values ('{GROUP}', 'outbox:gone', 60, 1790000000000) on conflict do nothing;"
    );
    bench.pool.execute(sqlx::AssertSqlSafe(sql)).await?;
    let named = Invocation::of(&bench.world, &["consumer", "ls"])?.ask()?;
    assert!(
        named.output.contains(&format!("are kept for {GROUP}"))
            && named.output.contains("stream outbox:gone is not passed"),
        "{}",
        named.output
    );
    // WHEN it is to be forgotten without --yes, or while a member runs, THEN it is refused
    let mut forget = vec!["forget", "--group", GROUP, "--reason", "the service is gone"];
    assert_eq!(ask(&bench.world, &forget)?.code, 4);
    forget.push("--yes");
    let refused = ask(&bench.world, &forget)?;
    assert!(
        refused.code == 4 && refused.errors.contains("is not gone"),
        "{}",
        refused.errors
    );
    member.stop().await?;
    // WHEN it is gone THEN nothing more is kept for it, and who said so is
    let answer = ask(&bench.world, &forget)?;
    assert_eq!(answer.code, 0, "{}", answer.errors);
    assert_eq!(answer.json()?["given_up"], 0);
    let left: i64 = bench.value("select count(*) from outbox.stream_mark").await?;
    let audited: String = bench
        .value("select action || ': ' || reason from outbox_ops.audit where action = 'forget'")
        .await?;
    assert_eq!((left, audited.as_str()), (0, "forget: the service is gone"));
    Ok(())
}
