//! A group reads again from an earlier place: what its stream no longer has comes from the producer's log, in order, while new
//! events arrive; and a seek that dies on the way changes nothing.

use std::time::Duration;

use outbox_core::standing::Standing;
use serde_json::Value;
use sqlx::Executor;
use system_tests::arrival::{arrived, backlog, stream_of};
use system_tests::patience::until;
use system_tests::proxy::port_of;
use system_tests::{Failure, Fault, Invocation, Proxy, Relay, Result, stream};
use uuid::Uuid;

use super::bench::Member;
use super::service::{GROUP, LIMIT, Service, TOPIC};

fn number(value: &Value, path: &str) -> Result<u64> {
    let found = value.pointer(path).and_then(Value::as_u64);
    found.ok_or_else(|| Failure::new(format!("no {path} in {value}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_group_reads_what_was_trimmed_from_postgres_while_new_events_arrive() -> Result {
    // GIVEN a stream of which only the end is left, and writers that go on
    let mut service = Service::new(3_000).await?;
    service.trim(200).await?;
    let mut producers = service.writers().await?;
    // WHEN it is asked what a seek to the beginning would do, THEN it says so and does nothing
    let preview = service.seek(&["--to", "begin"])?;
    assert_eq!(preview.code, 4, "{}", preview.errors);
    let said = preview.json()?;
    assert!(number(&said, "/streams/0/on_stream")? >= 200, "{said}");
    assert!(number(&said, "/streams/0/from_log")? >= 2_700, "{said}");
    assert_eq!(number(&said, "/finished")?, 0);
    assert_eq!(said["new_consumer"], true);
    // WHEN it is done, and a member of the group starts
    let done = service.seek(&["--to", "begin", "--yes"])?;
    assert_eq!(done.code, 0, "{}", done.errors);
    assert!(
        number(&done.json()?, "/streams/0/from_log")? >= 2_700,
        "{}",
        done.output
    );
    let member = service.member()?;
    producers.commit_more(200, LIMIT).await?;
    let mut journal = producers.stop().await?;
    journal.merge(std::mem::take(&mut service.journal));
    service.all_applied().await?;
    service.all_passed().await?;
    // THEN it applied everything that was ever committed, once and in order, and nothing is left behind
    member.stop().await?;
    service.judge(&journal, 0).await?;
    assert_eq!(service.preludes().await?, Vec::<String>::new());
    assert!(service.relay.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_reads_again_has_no_second_effect_unless_it_forgets() -> Result {
    // GIVEN a group at work that applied everything, and a trimmed stream
    let mut service = Service::new(1_000).await?;
    let member = service.member()?;
    service.all_applied().await?;
    service.all_passed().await?;
    service.trim(100).await?;
    // WHEN it is set back beside its member, with new events on the way
    let preview = service.seek(&["--to", "begin"])?.json()?;
    assert_eq!(number(&preview, "/finished")?, 1_000);
    let producers = service.writers().await?;
    let done = service.seek(&["--to", "begin", "--yes"])?;
    assert_eq!(done.code, 0, "{}", done.errors);
    let mut journal = producers.stop().await?;
    journal.merge(std::mem::take(&mut service.journal));
    service.all_applied().await?;
    service.all_passed().await?;
    // THEN nothing has a second effect
    service.judge(&journal, 0).await?;
    // WHEN it forgets what it applied, THEN all of it happens again, once and in order
    let (before, last) = (service.count().await?, service.last().await?);
    let preview = Invocation::of(
        &service.world,
        &[
            "consumer",
            "seek",
            "--group",
            GROUP,
            "--topic",
            TOPIC,
            "--reason",
            "r",
            "--to",
            "begin",
            "--forget-inbox",
        ],
    )?
    .ask()?;
    assert!(
        preview.output.contains("THEIR EFFECTS HAPPEN AGAIN"),
        "{}",
        preview.output
    );
    let done = service.seek(&["--to", "begin", "--forget-inbox", "--yes"])?;
    assert_eq!(done.code, 0, "{}", done.errors);
    assert_eq!(number(&done.json()?, "/forgotten")?, before);
    until("every effect twice", LIMIT, async || {
        Ok((service.count().await? == 2 * before).then_some(()))
    })
    .await?;
    service.all_passed().await?;
    member.stop().await?;
    service.judge(&journal, last).await?;
    assert_eq!(service.count().await?, 2 * before);
    assert_eq!(service.preludes().await?, Vec::<String>::new());
    let actions: Vec<String> = sqlx::query_scalar("select action from outbox.consumer_audit order by number")
        .fetch_all(&service.pool)
        .await?;
    assert_eq!(actions, ["seek begun", "seek", "seek begun", "seek"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seek_that_is_killed_on_the_way_changes_nothing_and_is_run_again() -> Result {
    // GIVEN a group that applied everything, and a stream of which little is left
    let mut service = Service::new(10_000).await?;
    let member = service.member()?;
    service.all_applied().await?;
    service.all_passed().await?;
    service.trim(10).await?;
    let before = service.count().await?;
    // WHEN a seek is killed while it writes what is missing
    let line = [
        "consumer", "seek", "--group", GROUP, "--topic", TOPIC, "--to", "begin", "--reason", "r", "--yes",
    ];
    let mut seek = Relay::command(&line)
        .set("DATABASE_URL", service.world.database_url())
        .set("REDIS_URL", service.world.redis_url())
        .start()?;
    let mut redis = service.world.redis().await?;
    let prelude = until("a prelude in the making", LIMIT, async || {
        Ok(service.preludes().await?.pop())
    })
    .await?;
    seek.kill()?;
    let written = stream::length(&mut redis, &prelude).await?;
    assert!(written < 9_990, "killed too late: {written}");
    // THEN what it wrote would end by itself
    let ends_in: i64 = redis::cmd("TTL").arg(&prelude).query_async(&mut redis).await?;
    assert!(ends_in > 0, "{ends_in}");
    // AND its member goes on when the lease is over: a new event is applied, and nothing else
    let mut more = backlog(&service.world, &[TOPIC.to_owned()], 1, 1, 50).await?;
    service.all_applied().await?;
    service.all_passed().await?;
    assert_eq!(service.count().await?, before + 1);
    // AND the same seek is run again to its end
    let done = service.seek(&["--to", "begin", "--yes", "--forget-inbox"])?;
    assert_eq!(done.code, 0, "{}", done.errors);
    until("every effect twice", LIMIT, async || {
        Ok((service.count().await? == 2 * (before + 1)).then_some(()))
    })
    .await?;
    service.all_passed().await?;
    member.stop().await?;
    more.merge(std::mem::take(&mut service.journal));
    service.judge(&more, i64::try_from(before + 1)?).await?;
    // AND what the killed one wrote was read by nobody, and is gone
    assert_eq!(service.preludes().await?, Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seek_that_wakes_up_after_another_one_was_done_changes_nothing_of_it() -> Result {
    // GIVEN a group that applied everything, a trimmed stream, and a seek that stops while it writes what is missing
    let service = Service::new(6_000).await?;
    let member = service.member()?;
    service.all_applied().await?;
    service.all_passed().await?;
    member.stop().await?;
    let mut redis = service.world.redis().await?;
    let entries = stream::entries(&mut redis, &stream_of(TOPIC)).await?;
    service.trim(10).await?;
    let line = [
        "consumer", "seek", "--group", GROUP, "--topic", TOPIC, "--to", "begin", "--reason", "r", "--yes",
    ];
    let direct = service.world.redis_url();
    let port = port_of(direct)?;
    let proxy = Proxy::before(port).await?;
    proxy.inflict(Fault::Slow(Duration::from_millis(200)));
    let mut sleeper = Relay::command(&line)
        .set("DATABASE_URL", service.world.database_url())
        .set("REDIS_URL", proxy.url(direct, port))
        .start()?;
    let first = until("a prelude in the making", LIMIT, async || {
        Ok(service.preludes().await?.pop())
    })
    .await?;
    sleeper.pause()?;
    let written = stream::length(&mut redis, &first).await?;
    assert!(written < 5_990, "stopped too late: {written}");
    // WHEN its lease ends, and another seek is done, to another place
    service
        .pool
        .execute("update outbox.consumer_lease set expires_at = '-infinity'")
        .await?;
    let last = service.last().await?;
    let middle = entries[3_000].id.to_string();
    let done = service.seek(&["--to", &middle, "--forget-inbox", "--yes"])?;
    assert_eq!(done.code, 0, "{}", done.errors);
    // What was on its way of the first one may arrive behind that.
    let preludes = service.preludes().await?;
    assert!(preludes.iter().any(|prelude| *prelude != first), "{preludes:?}");
    // AND the first one goes on, THEN it fails, and says what to do
    proxy.heal();
    sleeper.resume()?;
    let status = sleeper.ended(LIMIT).await?;
    assert_eq!(status.code(), Some(4), "{}", sleeper.log());
    assert!(sleeper.log().contains("he same seek again"), "{}", sleeper.log());
    // AND the group reads what the other one wrote: from the middle on everything happens again, once and in order
    let member = service.member()?;
    until("the other half twice", LIMIT, async || {
        Ok((service.count().await? == 9_000).then_some(()))
    })
    .await?;
    service.all_passed().await?;
    let again: Vec<Uuid> = sqlx::query_scalar("select id from effect where n > $1 order by n")
        .bind(last)
        .fetch_all(&service.pool)
        .await?;
    member.stop().await?;
    let wanted: Vec<Uuid> = entries[3_000..].iter().map(|entry| entry.event_id).collect();
    assert_eq!(again, wanted);
    assert_eq!(service.preludes().await?, Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seek_to_a_time_an_entry_or_an_event_begins_there() -> Result {
    // GIVEN a group that applied a hundred events, in ten batches
    let service = Service::new(100).await?;
    let member = service.member()?;
    service.all_applied().await?;
    service.all_passed().await?;
    member.stop().await?;
    let mut redis = service.world.redis().await?;
    let entries = stream::entries(&mut redis, &stream_of(TOPIC)).await?;
    let (middle, last) = (&entries[60], &entries[99]);
    let on_stream =
        |to: &str| -> Result<u64> { number(&service.seek(&["--to", to])?.json()?, "/streams/0/on_stream") };
    // THEN each kind of place is found
    assert_eq!(on_stream("begin")?, 100);
    assert_eq!(on_stream(&middle.id.to_string())?, 40);
    assert_eq!(on_stream(&middle.event_id.to_string())?, 40);
    assert_eq!(on_stream("2999-01-01T00:00:00Z")?, 0);
    let time = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(last.id.0) * 1_000_000)?;
    let time = time.format(&time::format_description::well_known::Rfc3339)?;
    let since = entries.iter().filter(|entry| entry.id.0 >= last.id.0).count() as u64;
    assert_eq!(on_stream(&time)?, since);
    // AND what is none is refused
    let unknown = service.seek(&["--to", &Uuid::nil().to_string()])?;
    assert_eq!(unknown.code, 4, "{}", unknown.errors);
    assert!(
        unknown.errors.contains("neither in the log"),
        "{}",
        unknown.errors
    );
    assert_eq!(service.seek(&["--to", "2026-11-20"])?.code, 2);
    // AND so is a place from before what the group remembers, and one that would turn what waits around
    service
        .pool
        .execute("update outbox.consumer set forgotten_until = now()")
        .await?;
    let forgotten = service.seek(&["--to", "begin", "--yes"])?;
    assert_eq!(forgotten.code, 4, "{}", forgotten.errors);
    assert!(forgotten.errors.contains("too old"), "{}", forgotten.errors);
    service
        .pool
        .execute(
            "insert into outbox.parked_lane (consumer, flow, lane, state, stream) values ('stock', 'orders.placed', 'ka', 'dead', 'outbox:orders.placed')",
        )
        .await?;
    let parked = service.seek(&["--to", "begin", "--yes", "--forget-inbox"])?;
    assert_eq!(parked.code, 4, "{}", parked.errors);
    assert!(
        parked.errors.contains("1 keys of these streams wait"),
        "{}",
        parked.errors
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seek_into_the_future_passes_over_nothing_that_is_still_to_come() -> Result {
    // GIVEN a new group, and one that applied everything, set to a time that is to come
    let service = Service::new(100).await?;
    let member = service.member()?;
    service.all_applied().await?;
    service.all_passed().await?;
    member.stop().await?;
    let done = service.seek(&["--to", "2999-01-01T00:00:00Z", "--yes"])?;
    assert_eq!(done.code, 0, "{}", done.errors);
    let line = "consumer seek --group audit --to 2999-01-01T00:00:00Z --reason r --yes --topic";
    let line: Vec<&str> = line.split(' ').chain([TOPIC]).collect();
    assert_eq!(Invocation::of(&service.world, &line)?.ask()?.code, 0);
    // WHEN more events come
    backlog(&service.world, &[TOPIC.to_owned()], 1, 10, 50).await?;
    // THEN the one applies them, and nothing else; so would the other
    let last = service.last().await?;
    let member = service.member()?;
    service.all_applied().await?;
    service.all_passed().await?;
    member.stop().await?;
    let again: i64 = sqlx::query_scalar("select count(*) from effect where n > $1")
        .bind(last)
        .fetch_one(&service.pool)
        .await?;
    assert_eq!(again, 10);
    let is_beyond: bool = sqlx::query_scalar(
        "select bool_or(p.passed_batch > (select max(batch_id) from outbox.batch)) from outbox.consumer_stream p",
    )
    .fetch_one(&service.pool)
    .await?;
    assert!(!is_beyond);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_lost_of_a_seek_is_not_passed_over() -> Result {
    // GIVEN a topic that grew, nothing left on its first stream, and a new group that is set to the beginning
    let service = Service::new(100).await?;
    let grown = Invocation::of(&service.world, &["topic", "set", TOPIC, "--partitions", "2"])?.ask()?;
    assert_eq!(grown.code, 0, "{}", grown.errors);
    backlog(&service.world, &[TOPIC.to_owned()], 1, 50, 50).await?;
    arrived(&service.world, &[TOPIC.to_owned()], LIMIT).await?;
    service.trim(0).await?;
    let done = service.seek(&["--to", "begin", "--yes"])?;
    assert_eq!(done.code, 0, "{}", done.errors);
    // WHEN Redis loses what was written for it
    let mut redis = service.world.redis().await?;
    for prelude in service.preludes().await? {
        redis::cmd("DEL")
            .arg(prelude)
            .query_async::<()>(&mut redis)
            .await?;
    }
    let consumer = service.consumer()?;
    let mut standing = consumer.standing();
    let member = Member::run(consumer);
    // THEN nothing behind it is applied, and the group says what to do
    let told = standing.wait_for(
        |standing| matches!(standing, Standing::Waiting { cause } if cause.contains("run the same seek again")),
    );
    tokio::time::timeout(LIMIT, told).await??;
    assert_eq!(service.count().await?, 0);
    // AND all of it, once that was done
    let done = service.seek(&["--to", "begin", "--yes"])?;
    assert_eq!(done.code, 0, "{}", done.errors);
    service.all_applied().await?;
    member.stop().await?;
    assert_eq!(service.count().await?, 150);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_from_before_what_the_group_remembers_applies_all_of_it_again() -> Result {
    // GIVEN a group whose inbox forgot when everything was applied
    let service = Service::new(200).await?;
    let member = service.member()?;
    service.all_applied().await?;
    service.all_passed().await?;
    service
        .pool
        .execute("update outbox.consumer set forgotten_until = now() + interval '1 day'")
        .await?;
    // WHEN it is rebuilt
    let done = service.seek(&["--to", "begin", "--yes", "--forget-inbox"])?;
    assert_eq!(done.code, 0, "{}", done.errors);
    until("every effect twice", LIMIT, async || {
        Ok((service.count().await? == 400).then_some(()))
    })
    .await?;
    service.all_passed().await?;
    member.stop().await?;
    // THEN nothing is taken for too old: it was asked for
    let letters: i64 = sqlx::query_scalar("select count(*) from outbox.dead_letter")
        .fetch_one(&service.pool)
        .await?;
    assert_eq!(letters, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_grew_is_read_again_generation_after_generation_while_members_run() -> Result {
    // GIVEN a topic that grew twice, all of it applied by two members, and little of it left on its streams
    let mut service = Service::new(600).await?;
    let topics = [TOPIC.to_owned()];
    let members = [service.member()?, service.member()?];
    let mut journal = std::mem::take(&mut service.journal);
    for partitions in ["3", "4"] {
        let grown = Invocation::of(
            &service.world,
            &["topic", "set", TOPIC, "--partitions", partitions],
        )?
        .ask()?;
        assert_eq!(grown.code, 0, "{}", grown.errors);
        journal.merge(backlog(&service.world, &topics, 5, 100, 50).await?);
        service.all_applied().await?;
    }
    let mut redis = service.world.redis().await?;
    let streams = stream::of_topic(&mut redis, TOPIC).await?;
    assert_eq!(streams.len(), 5);
    for (stream, _) in &streams {
        redis::cmd("XTRIM")
            .arg(stream)
            .arg("MAXLEN")
            .arg(3)
            .query_async::<()>(&mut redis)
            .await?;
    }
    let (before, last) = (service.count().await?, service.last().await?);
    assert_eq!(before, 1_600);
    // WHEN the group is set back to the beginning and forgets what it applied
    let done = service.seek(&["--to", "begin", "--forget-inbox", "--yes"])?;
    assert_eq!(done.code, 0, "{}", done.errors);
    assert_eq!(number(&done.json()?, "/forgotten")?, before);
    until("every effect twice", LIMIT, async || {
        Ok((service.count().await? == 2 * before).then_some(()))
    })
    .await?;
    until("nothing left before the streams", LIMIT, async || {
        Ok(service.preludes().await?.is_empty().then_some(()))
    })
    .await?;
    // THEN everything happened again once, each key in its order, also those that moved from one stream to another
    for member in members {
        member.stop().await?;
    }
    service.judge(&journal, last).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_group_reads_a_topic_of_which_redis_has_no_stream_any_more() -> Result {
    // GIVEN a topic with partitions that was published from its beginning, and nothing left of any of its streams
    let mut service = Service::new(0).await?;
    let topics = [TOPIC.to_owned()];
    let grown = Invocation::of(&service.world, &["topic", "set", TOPIC, "--partitions", "3"])?.ask()?;
    assert_eq!(grown.code, 0, "{}", grown.errors);
    let journal = backlog(&service.world, &topics, 10, 60, 50).await?;
    arrived(&service.world, &topics, LIMIT).await?;
    assert!(service.relay.terminate().await?.success());
    let mut redis = service.world.redis().await?;
    let streams = stream::of_topic(&mut redis, TOPIC).await?;
    assert_eq!(streams.len(), 3);
    for (stream, _) in &streams {
        redis::cmd("DEL")
            .arg(stream)
            .query_async::<()>(&mut redis)
            .await?;
    }
    // WHEN a group that never was is set to the beginning
    let done = service.seek(&["--to", "begin", "--yes"])?;
    // THEN it applies all of it, each key in its order
    assert_eq!(done.code, 0, "{}", done.errors);
    let member = service.member()?;
    service.all_applied().await?;
    member.stop().await?;
    service.judge(&journal, 0).await
}
