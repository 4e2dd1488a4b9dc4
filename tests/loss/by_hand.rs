//! A person has a stream put out again; and the rate at which that goes.

use std::time::Instant;

use sqlx::Executor;
use system_tests::arrival::{arrived, backlog, stream_of};
use system_tests::login::equipped;
use system_tests::patience::until;
use system_tests::stream::calls;
use system_tests::{Answer, Invocation, Relay, Result, Witness};
use xtask::servers::Redis;

use crate::scene::{LIMIT, Scene, TOPIC};

fn reissue(scene: &Scene, more: &[&str]) -> Result<Answer> {
    let words = [
        "--output",
        "json",
        "recover",
        "reissue",
        "--topic",
        TOPIC,
        "--reason",
        "entries looked odd",
    ];
    Invocation::of(&scene.world, &[&words[..], more].concat())?.ask()
}

/// Waits until the stream has so many entries.
async fn has(scene: &mut Scene, count: usize) -> Result {
    until("the entries are there", LIMIT, async || {
        Ok((scene.entries().await?.len() == count).then_some(()))
    })
    .await
}

#[tokio::test]
async fn an_order_whose_leader_was_killed_before_it_answered_is_done_once() -> Result {
    // GIVEN a leader that ends when the re-issue is a fact and nobody was told
    let mut scene = Scene::new(None).await?;
    let topics = [TOPIC.to_owned()];
    let mut doomed = Relay::of(&scene.world)
        .set("OUTBOX_CRASH_POINT", "reissue-cut:exit:1")
        .start()?;
    doomed.leads().await?;
    backlog(&scene.world, &topics, 1, 30, 10).await?;
    arrived(&scene.world, &topics, LIMIT).await?;
    let ordered = "select outbox.order_reissue('orders.placed', null, '0-0', null, false, 'a test')";
    let order: i64 = sqlx::query_scalar(ordered).fetch_one(&mut scene.postgres).await?;
    scene.until("select exists (select from outbox.reissue)").await?;
    doomed.ended(LIMIT).await?;
    // AND an order before it that no relay can read
    sqlx::query(
        "insert into outbox.reissue_order (topic, partition, from_batch_id, from_position, is_preview, reason) values ($1, -5, 0, 0, true, 'x')",
    )
    .bind(TOPIC)
    .execute(&mut scene.postgres)
    .await?;
    // WHEN another one leads, and is asked for something else as well
    let _relay = scene.relay().await?;
    let preview = reissue(&scene, &["--from", "0-0"])?;
    assert_eq!(preview.code, 4, "{}{}", preview.output, preview.errors);
    // THEN the first order is answered with what was done, the other one is refused alone
    scene
        .until("select not exists (select from outbox.reissue_order where state = 'waiting')")
        .await?;
    let state: String = sqlx::query_scalar("select state from outbox.reissue_order where number = $1")
        .bind(order)
        .fetch_one(&mut scene.postgres)
        .await?;
    assert_eq!(state, "done");
    assert_eq!(
        scene
            .value::<String>(
                "select answer from outbox.reissue_order where partition = -5 and state = 'refused'"
            )
            .await?
            .split(':')
            .next(),
        Some("the order cannot be read")
    );
    assert_eq!(
        scene.value::<i64>("select count(*) from outbox.reissue").await?,
        1
    );
    Ok(())
}

#[tokio::test]
async fn a_stream_that_takes_long_to_measure_keeps_no_other_waiting() -> Result {
    // GIVEN a topic with partitions, whose rows take as long to measure as a lock is held, and one without, which is looked at later
    let mut scene = Scene::new(None).await?;
    let slow = "orders.archived";
    let set = ["topic", "set", slow, "--partitions", "2"];
    assert_eq!(Invocation::of(&scene.world, &set)?.ask()?.code, 0);
    let _relay = scene.relay().await?;
    backlog(&scene.world, &[TOPIC.to_owned(), slow.to_owned()], 2, 30, 10).await?;
    scene
        .until("select count(*) filter (where passed_position is not null) >= 3 from outbox_ops.topics")
        .await?;
    let mut holder = scene.world.connect().await?;
    holder.execute("select pg_advisory_lock(77)").await?;
    scene
        .postgres
        .execute(
            "alter function outbox.partition_of(text, integer) rename to partition_of_at_once;
             create function outbox.partition_of(key text, partitions integer) returns integer language plpgsql as $$
             begin perform pg_advisory_xact_lock_shared(77); return outbox.partition_of_at_once(key, partitions); end $$",
        )
        .await?;
    // WHEN both lose everything THEN the one is put out again while the other is being measured
    scene.ask(&["FLUSHDB"]).await?;
    scene
        .until("select exists (select from outbox.reissue where topic = 'orders.placed')")
        .await?;
    assert_eq!(
        scene
            .value::<i64>("select count(*) from outbox.reissue where topic = 'orders.archived'")
            .await?,
        0
    );
    // AND that one when it can be
    holder.execute("select pg_advisory_unlock(77)").await?;
    scene
        .until(
            "select count(*) = 2 from outbox_ops.reissues where topic = 'orders.archived' and state = 'done'",
        )
        .await
}

#[tokio::test]
async fn a_measure_that_nobody_waits_for_any_more_ends_at_the_server() -> Result {
    // GIVEN a stream that is being measured, for as long as a lock is held
    let mut scene = Scene::new(None).await?;
    let set = ["topic", "set", TOPIC, "--partitions", "2"];
    assert_eq!(Invocation::of(&scene.world, &set)?.ask()?.code, 0);
    let mut relay = scene.relay().await?;
    backlog(&scene.world, &[TOPIC.to_owned()], 2, 30, 10).await?;
    scene
        .until("select count(*) filter (where passed_position is not null) >= 2 from outbox_ops.topics")
        .await?;
    let mut holder = scene.world.connect().await?;
    holder.execute("select pg_advisory_lock(78)").await?;
    scene
        .postgres
        .execute(
            "alter function outbox.partition_of(text, integer) rename to partition_of_at_once;
             create function outbox.partition_of(key text, partitions integer) returns integer language plpgsql as $$
             begin perform pg_advisory_xact_lock_shared(78); return outbox.partition_of_at_once(key, partitions); end $$",
        )
        .await?;
    scene.ask(&["FLUSHDB"]).await?;
    let measured = "select exists (select from pg_stat_activity where datname = current_database() and wait_event = 'advisory')";
    scene.until(measured).await?;
    // WHEN its relay is gone THEN the server ends the statement, though the lock is held on
    relay.kill()?;
    scene
        .until("select not exists (select from pg_stat_activity where datname = current_database() and wait_event = 'advisory')")
        .await
}

#[tokio::test]
async fn why_a_stream_is_not_put_out_again_is_said_where_it_is_said_that_it_lost_its_end() -> Result {
    // GIVEN a stream that was replaced by one whose only entry is of a far day
    let mut scene = Scene::new(None).await?;
    let topics = [TOPIC.to_owned()];
    let _relay = scene.relay().await?;
    let journal = backlog(&scene.world, &topics, 1, 30, 10).await?;
    arrived(&scene.world, &topics, LIMIT).await?;
    let stream = stream_of(TOPIC);
    scene.ask(&["DEL", &stream]).await?;
    scene
        .ask(&["XADD", &stream, "4102444800000-1", "who", "knows"])
        .await?;
    // WHEN the relay cannot put anything behind it THEN that is the reason in the views, and in what the status says
    scene
        .until("select exists (select from outbox_ops.topics where state = 'lost' and reason like '%4102444800000-1%ahead of the ledger%')")
        .await?;
    scene
        .until("select exists (select from outbox_ops.causes where cause = 'lost' and reason like '%ahead of the ledger%')")
        .await?;
    // AND when a person did what it says, the stream is put out again
    scene.ask(&["DEL", &stream]).await?;
    scene.join("reader").await?;
    scene.ends_well(&journal, &["reader"]).await
}

#[tokio::test]
async fn a_stream_that_had_an_id_of_a_far_day_waits_for_a_person_and_is_not_put_out_again_and_again() -> Result
{
    // GIVEN a stream that somebody wrote to with an id of a far day, and took that off again
    let mut scene = Scene::new(Some(equipped(Redis::options()))).await?;
    let topics = [TOPIC.to_owned()];
    let _relay = scene.relay().await?;
    backlog(&scene.world, &topics, 1, 30, 10).await?;
    has(&mut scene, 30).await?;
    let stream = stream_of(TOPIC);
    let far = "4102444800000-1";
    let last = scene.entries().await?[29].id.to_string();
    scene.ask(&["XADD", &stream, far, "who", "knows"]).await?;
    scene.ask(&["XDEL", &stream, far]).await?;
    // WHEN the next events are refused THEN the relay says why, and what helps
    backlog(&scene.world, &topics, 1, 20, 10).await?;
    let said = "select count(*) from outbox.stream_action where action = 'lost' and reason like '%4102444800000-1%XSETID%'";
    scene
        .until("select exists (select from outbox_ops.topics where state = 'lost' and reason like '%4102444800000-1%XSETID%')")
        .await?;
    // AND says it once, since when the stream waits, whatever the clock says
    let since = "select max(stopped_since)::text from outbox_ops.topics where state = 'lost'";
    let first: String = scene.value(since).await?;
    let once = "select count(distinct acted_at) = 1 from outbox.stream_action where action = 'lost'";
    assert!(scene.value::<bool>(once).await?);
    let before = calls(&mut scene.redis, "xinfo|stream").await?;
    until("it is looked at again, three times", LIMIT, async || {
        let looks = calls(&mut scene.redis, "xinfo|stream").await? - before;
        Ok((looks >= 3).then_some(()))
    })
    .await?;
    assert_eq!(scene.value::<i64>(said).await?, 1, "said once");
    assert_eq!(scene.value::<String>(since).await?, first);
    assert_eq!(
        scene.value::<i64>("select count(*) from outbox.reissue").await?,
        0,
        "nothing would be taken"
    );
    // AND when a person did that, it goes on by itself
    scene.ask(&["XSETID", &stream, &last]).await?;
    has(&mut scene, 50).await?;
    scene
        .until("select not exists (select from outbox_ops.topics where state <> 'moving')")
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_person_has_a_stream_put_out_again_and_sees_before_what_that_is() -> Result {
    // GIVEN a stream that a group has passed
    let mut scene = Scene::new(None).await?;
    let topics = [TOPIC.to_owned()];
    let _relay = scene.relay().await?;
    let mut journal = backlog(&scene.world, &topics, 1, 20, 10).await?;
    journal.merge(backlog(&scene.world, &topics, 1, 30, 10).await?);
    scene.join("reader").await?;
    scene.effects("reader", 50).await?;
    let found = scene.entries().await?;
    // WHEN it is asked what a re-issue would be THEN nothing is done
    let (from, to) = (found[20].id.to_string(), found[24].id.to_string());
    let preview = reissue(&scene, &["--from", &from, "--to", &to])?;
    assert_eq!(preview.code, 4, "{}{}", preview.output, preview.errors);
    let told = preview.json()?;
    let stream = &told["streams"][0];
    assert_eq!(
        (
            stream["state"].as_str(),
            stream["kept"].as_str(),
            stream["events"].as_i64()
        ),
        (
            Some("possible"),
            Some(found[19].id.to_string().as_str()),
            Some(30)
        ),
        "{told}"
    );
    let of_all = reissue(&scene, &["--from", "1960-01-01T00:00:00Z"])?.json()?;
    assert_eq!(
        of_all["streams"][0]["events"].as_i64(),
        Some(50),
        "a time before there were streams: {of_all}"
    );
    assert_eq!(
        scene.value::<i64>("select count(*) from outbox.reissue").await?,
        0
    );
    // WHEN it is asked for THEN it is done, groups apply nothing twice, and who did it is kept
    let done = reissue(&scene, &["--from", &from, "--yes"])?;
    assert_eq!(done.code, 0, "{}{}", done.output, done.errors);
    scene
        .until("select exists (select from outbox_ops.reissues where state = 'done' and events = 30)")
        .await?;
    journal.merge(backlog(&scene.world, &topics, 1, 10, 10).await?);
    scene.ends_well(&journal, &["reader"]).await?;
    assert_eq!(
        scene
            .value::<String>(
                "select actor || ': ' || reason || ', ' || state from outbox_ops.reissue_orders where not is_preview"
            )
            .await?,
        "test_maintainer: entries looked odd, done"
    );
    // AND what was not published yet, or is no place at all, is refused
    let ahead = reissue(&scene, &["--from", "9999999999999-0"])?;
    assert_eq!(ahead.code, 4);
    assert!(ahead.output.contains("nothing was published"), "{}", ahead.output);
    let odd = reissue(&scene, &["--from", "yesterdayish"])?;
    assert_eq!(odd.code, 4, "{}", odd.errors);
    assert!(odd.errors.contains("neither an entry id"), "{}", odd.errors);
    Ok(())
}

#[tokio::test]
async fn a_repair_goes_at_its_rate_and_the_other_streams_do_not_wait_for_it() -> Result {
    // GIVEN a long stream, a low rate, and another topic
    let mut scene = Scene::new(None).await?;
    let topics = [TOPIC.to_owned()];
    let mut relay = Relay::of(&scene.world)
        .set("OUTBOX_PUBLISH_REISSUE_RATE", 500)
        .set("OUTBOX_PUBLISH_SHARE_ROWS", 50)
        .start()?;
    relay.leads().await?;
    let mut journal = backlog(&scene.world, &topics, 1, 8_000, 10).await?;
    arrived(&scene.world, &topics, LIMIT).await?;
    scene
        .until("select passed_position > 0 from outbox_ops.topics")
        .await?;
    // WHEN all of it is gone
    scene.ask(&["DEL", &stream_of(TOPIC)]).await?;
    scene
        .until("select exists (select from outbox_ops.reissues)")
        .await?;
    let began = Instant::now();
    // THEN the other topic's events arrive meanwhile
    let other = ["payments.taken".to_owned()];
    backlog(&scene.world, &other, 5, 100, 10).await?;
    arrived(&scene.world, &other, LIMIT).await?;
    assert_eq!(
        scene
            .value::<i64>("select count(*) from outbox_ops.reissues where state = 'running'")
            .await?,
        1,
        "it was over before the others arrived, after {:?}",
        began.elapsed()
    );
    // AND how far it is can be seen everywhere
    scene
        .until("select published between 1 and events - 1 and remaining is not null from outbox_ops.reissues")
        .await?;
    let status = Invocation::of(&scene.world, &["status"])?.ask()?;
    assert!(
        status.output.contains("STREAMS THAT ARE PUT OUT AGAIN"),
        "{}",
        status.output
    );
    relay.logs("a stream is put out again", LIMIT).await?;
    assert!(relay.metric("outbox_publish_reissue_left_events").await? > 0.0);
    // AND it took as long as that rate takes
    scene
        .until("select state = 'done' from outbox_ops.reissues")
        .await?;
    assert!(
        began.elapsed().as_secs_f64() > 8_000.0 / 500.0 * 0.8,
        "{:?}",
        began.elapsed()
    );
    journal.merge(backlog(&scene.world, &topics, 1, 10, 10).await?);
    scene.join("reader").await?;
    let done = scene.effects("reader", 8_010).await?;
    Witness::new(&journal)
        .effects("reader", &[TOPIC], done)
        .verdict()
        .clean()
}
