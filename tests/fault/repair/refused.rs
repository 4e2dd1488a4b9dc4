//! What cannot be put out again is said, and passed by a person.

use sqlx::Executor;
use system_tests::arrival::{arrived, backlog, stream_of};
use system_tests::{Invocation, Relay, Result, Witness};

use super::{Bench, LIMIT, TOPIC};

#[tokio::test]
async fn what_postgres_no_longer_has_is_refused_with_its_range() -> Result {
    // GIVEN a hole whose event the log no longer has
    let (mut bench, _relay, member) = Bench::at_work().await?;
    let topics = [TOPIC.to_owned()];
    bench.stop(member).await?;
    backlog(&bench.world, &topics, 1, 10, 10).await?;
    arrived(&bench.world, &topics, LIMIT).await?;
    let found = bench.entries().await?;
    bench.delete(&[found[12].id]).await?;
    bench
        .postgres
        .execute("set session_replication_role = replica")
        .await?;
    sqlx::query("delete from outbox.log where position = $1")
        .bind(i64::try_from(found[12].id.1)?)
        .execute(&mut bench.postgres)
        .await?;
    // WHEN the group asks
    let mut member = bench.member("reader").await?;
    bench
        .until("select state = 'refused' from outbox_ops.holes")
        .await?;
    // THEN it is said by topic and range, and nothing was put out again
    let reason: String = bench.value("select reason from outbox_ops.holes").await?;
    assert!(
        reason.contains(&format!("behind entry {}", found[11].id)) && reason.contains(TOPIC),
        "{reason}"
    );
    assert!(
        member
            .not_ready_because("is held")
            .await?
            .contains(&found[12].id.to_string())
    );
    assert_eq!(
        bench.value::<i64>("select count(*) from outbox.reissue").await?,
        0
    );
    bench.effects("reader", 12).await?;
    // WHEN a person passes it THEN the rest is applied, and who did it is kept
    let (stream, held) = (stream_of(TOPIC), found[13].id.to_string());
    let mut pass = vec!["consumer", "pass-hole", "--group", "reader", "--stream", &stream];
    pass.extend(["--entry", &held, "--reason", "counted by hand"]);
    let refused = Invocation::of(&bench.world, &pass)?.ask()?;
    assert_eq!(refused.code, 4, "{}", refused.errors);
    pass.push("--yes");
    let passed = Invocation::of(&bench.world, &pass)?.ask()?;
    assert_eq!(passed.code, 0, "{}", passed.errors);
    bench.effects("reader", 19).await?;
    bench.nothing_is_missed().await?;
    assert_eq!(
        bench
            .value::<String>(
                "select action || ': ' || reason from outbox_ops.audit where target ->> 'entry' is not null"
            )
            .await?,
        "pass_hole: counted by hand"
    );
    Ok(())
}

#[tokio::test]
async fn what_the_hard_cap_took_is_refused_and_passed_by_a_person() -> Result {
    // GIVEN a group that read a third of a stream
    let mut bench = Bench::new().await?;
    let topics = [TOPIC.to_owned()];
    let mut relay = Relay::of(&bench.world)
        .set("OUTBOX_PUBLISH_LOOK_EVERY", "100ms")
        .start()?;
    relay.leads().await?;
    let mut journal = backlog(&bench.world, &topics, 1, 20, 10).await?;
    let member = bench.member("reader").await?;
    bench.effects("reader", 20).await?;
    bench.stop(member).await?;
    journal.merge(backlog(&bench.world, &topics, 1, 40, 10).await?);
    arrived(&bench.world, &topics, LIMIT).await?;
    let found = bench.entries().await?;
    // WHEN the hard cap takes what it has not read
    let set = ["topic", "set", TOPIC, "--stream-cap", "10"];
    assert_eq!(Invocation::of(&bench.world, &set)?.ask()?.code, 0);
    bench
        .until("select lost_unread = 30 from outbox_ops.streams")
        .await?;
    let member = bench.member("reader").await?;
    // THEN it is said, and nothing is put out again: the cap would take it again
    bench
        .until("select state = 'refused' and reason like '%was trimmed%' from outbox_ops.holes")
        .await?;
    // WHEN a person passes it THEN what is left is applied
    let (stream, held) = (stream_of(TOPIC), found[50].id.to_string());
    let pass = [
        "consumer",
        "pass-hole",
        "--group",
        "reader",
        "--stream",
        &stream,
        "--entry",
        &held,
    ];
    let pass = [&pass[..], &["--reason", "the cap took it", "--yes"]].concat();
    assert_eq!(Invocation::of(&bench.world, &pass)?.ask()?.code, 0);
    let done = bench.effects("reader", 30).await?;
    bench.nothing_is_missed().await?;
    bench.stop(member).await?;
    let verdict = Witness::new(&journal).effects("reader", &[TOPIC], done).verdict();
    eprintln!("witness: {verdict}");
    assert_eq!((verdict.lost.len(), verdict.reordered.len()), (30, 0));
    assert_eq!(
        bench.value::<i64>("select count(*) from outbox.reissue").await?,
        0
    );
    Ok(())
}

#[tokio::test]
async fn what_postgres_lost_of_the_kept_entrys_own_batch_is_refused_too() -> Result {
    // GIVEN a group that stopped in the middle of a batch, whose next events the stream lost, and of which Postgres has the last
    let (mut bench, _relay, member) = Bench::at_work().await?;
    let topics = [TOPIC.to_owned()];
    bench.stop(member).await?;
    bench
        .postgres
        .execute(
            "select outbox.append('orders.placed', '{\"number\": 1}'::json, key => 'k' || n) from generate_series(1, 10) n",
        )
        .await?;
    arrived(&bench.world, &topics, LIMIT).await?;
    let found = bench.entries().await?;
    assert_eq!(found[10].id.0, found[19].id.0, "one batch");
    bench.delete(&[found[12].id, found[13].id, found[14].id]).await?;
    // Two of the three, as a piece of the log would take them whose last position lies between.
    bench
        .postgres
        .execute("set session_replication_role = replica")
        .await?;
    for lost in [12, 13] {
        sqlx::query("delete from outbox.log where position = $1")
            .bind(i64::try_from(found[lost].id.1)?)
            .execute(&mut bench.postgres)
            .await?;
    }
    // WHEN the group asks THEN it is refused: two events are neither on the stream nor in the log
    let member = bench.member("reader").await?;
    bench
        .until("select state = 'refused' from outbox_ops.holes")
        .await?;
    let reason: String = bench.value("select reason from outbox_ops.holes").await?;
    assert!(
        reason.contains("of 10 events of its batch 8 are left"),
        "{reason}"
    );
    assert_eq!(
        bench.value::<i64>("select count(*) from outbox.reissue").await?,
        0
    );
    bench.stop(member).await
}
