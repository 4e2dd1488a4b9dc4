//! A topic grows while it is consumed: keys move to other streams and keep their order.

use std::time::Duration;

use outbox_core::consume::seek;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sqlx::Executor;
use system_tests::patience::until;
use system_tests::{Failure, Login, Result};

use super::bench::{Bench, GROUP, Member, STREAM, TOPIC};
use super::writer::{Writer, assert_all_in_order, noting};

const LIMIT: Duration = Duration::from_secs(120);

/// Waits until so many entries of a stream are with the group, applied or not. Nothing tells when, so it is looked for.
async fn until_read(bench: &Bench, stream: &str, entries: i64) -> Result {
    let mut redis = bench.redis.clone();
    until("the group reads the stream", LIMIT, async || {
        let mut command = redis::cmd("XINFO");
        command.arg("GROUPS").arg(stream);
        let groups: redis::streams::StreamInfoGroupsReply = match command.query_async(&mut redis).await {
            Ok(groups) => groups,
            // The stream is not there yet.
            Err(error) if error.code() == Some("ERR") => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let group = groups.groups.iter().find(|group| group.name == GROUP);
        Ok(group.filter(|group| group.pending as i64 >= entries).map(drop))
    })
    .await
}

#[tokio::test]
async fn a_key_that_moved_waits_until_its_older_stream_is_passed() -> Result {
    // GIVEN a member that hangs in an event of a topic without partitions
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, 1).await?;
    bench
        .pool
        .execute(
            "create function hold() returns void language sql as 'select pg_advisory_xact_lock_shared(7)'",
        )
        .await?;
    let mut holder = bench.world.connect().await?;
    holder.execute("select pg_advisory_lock(7)").await?;
    let describe = |bench: &Bench, name| {
        Member::start(bench.describe().member(name).on(TOPIC, |tx, event| {
            Box::pin(async move {
                let order: super::bench::Order = event.json()?;
                if order.number == 1 {
                    sqlx::query("select hold()").execute(&mut *tx).await?;
                }
                let insert = sqlx::query("insert into effect (key, number) values ($1, $2)");
                insert.bind(&event.key).bind(order.number).execute(tx).await?;
                Ok(())
            })
        }))
    };
    let members = [describe(&bench, "one")?, describe(&bench, "two")?];
    writer.put(&["a"]).await?;
    bench.wait_for_lock(7).await?;
    // WHEN the topic grows, and the next event of the key comes on its new stream
    writer.grow(4).await?;
    writer.put(&["a"]).await?;
    until_read(&bench, &writer.stream(writer.partition_of("a")), 1).await?;
    bench.until_looked_again().await?;
    // THEN it waits for the first one
    assert_eq!(bench.value::<i64>("select count(*) from effect").await?, 0);
    holder.execute("select pg_advisory_unlock(7)").await?;
    bench.effects(2).await?;
    assert_all_in_order(&bench, &writer).await?;
    for member in members {
        member.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_that_goes_on_is_not_read_past_its_end_before_the_others_reached_theirs() -> Result {
    // GIVEN a member that has applied all of two partitions
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, 2).await?;
    let (first, second) = (writer.key_in(0), writer.key_in(1));
    let member = Member::start(noting(bench.describe(), "one"))?;
    writer.put(&[&first, &second]).await?;
    bench.effects(2).await?;
    // WHEN there are four, and only the first of the older streams has its end; a key of it goes on at once
    writer.grow_silently(4).await?;
    writer.end(0).await?;
    let stays = (0..)
        .map(|n| format!("stays-{n}"))
        .find(|key| writer.partition_of(key) == 0)
        .unwrap_or_default();
    writer.put(&[&stays]).await?;
    until_read(&bench, &writer.stream(0), 1).await?;
    bench.until_looked_again().await?;
    // THEN its event waits for the end of the second one
    assert_eq!(bench.value::<i64>("select count(*) from effect").await?, 2);
    writer.end(1).await?;
    bench.effects(3).await?;
    assert_all_in_order(&bench, &writer).await?;
    member.stop().await
}

#[tokio::test]
async fn older_streams_with_nothing_left_hold_nobody() -> Result {
    // GIVEN a topic that grew twice; of its older streams one is gone and one was trimmed beyond its end
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, 1).await?;
    writer.grow(2).await?;
    let (first, second) = (writer.key_in(0), writer.key_in(1));
    writer.put(&[&first, &second]).await?;
    writer.grow(4).await?;
    let keys: Vec<String> = (0..4).map(|partition| writer.key_in(partition)).collect();
    let before = writer.total();
    writer
        .put(&keys.iter().map(String::as_str).collect::<Vec<_>>())
        .await?;
    for (command, stream) in [
        ("DEL", format!("outbox:{TOPIC}")),
        ("DEL", format!("outbox:{TOPIC}:1")),
    ] {
        redis::cmd(command)
            .arg(stream)
            .query_async::<()>(&mut bench.redis)
            .await?;
    }
    redis::cmd("XTRIM")
        .arg(writer.stream(0))
        .arg("MAXLEN")
        .arg(1)
        .query_async::<()>(&mut bench.redis)
        .await?;
    // WHEN a new group begins
    let member = Member::start(noting(bench.describe(), "one"))?;
    bench
        .relay_says_trimmed(&writer.stream(0), &writer.last_end())
        .await?;
    // THEN it applies what is there: the newest event of each of the three streams that were left
    let effects = bench.effects(3).await?;
    assert_eq!(effects.len() as i64, writer.total() - before - 1);
    member.stop().await
}

#[tokio::test]
async fn an_older_stream_that_is_lost_holds_the_newer_ones_until_a_person_gives_it_up() -> Result {
    // GIVEN a group that is in the middle of a stream, which is lost with what follows there
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, 1).await?;
    writer.put(&["key", "other"]).await?;
    let member = Member::start(noting(bench.describe(), "one"))?;
    bench.effects(2).await?;
    bench
        .until("select coalesce(bool_or(passed_entry like '%-2'), false) from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    writer.put(&["key"]).await?;
    redis::cmd("DEL")
        .arg(format!("outbox:{TOPIC}"))
        .query_async::<()>(&mut bench.redis)
        .await?;
    // WHEN the topic has grown meanwhile, and a newer event of the key is there
    writer.grow_silently(2).await?;
    writer.put(&["key"]).await?;
    let member = Member::start(noting(bench.describe(), "two"))?;
    // THEN that is delivered and not applied
    until_read(&bench, &writer.stream(writer.partition_of("key")), 1).await?;
    bench.until_looked_again().await?;
    bench.until_looked_again().await?;
    assert_eq!(bench.value::<i64>("select count(*) from effect").await?, 2);
    // AND when a person gives up what the older stream had, it is
    bench.give_up(&writer.last_end()).await?;
    let effects = bench.effects(3).await?;
    assert_eq!(effects[2], ("key".to_owned(), 3));
    member.stop().await
}

#[tokio::test]
async fn an_entry_that_cannot_be_there_is_not_given_up_and_stops_nothing() -> Result {
    // GIVEN a group at work
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, 1).await?;
    let member = Member::start(noting(bench.describe(), "one"))?;
    writer.put(&["key", "other"]).await?;
    bench.effects(2).await?;
    // WHEN a person gives up what is no entry, or one that nobody can have written yet
    for (entry, why) in [
        ("99999999999999999999-0", "is at most 18446744073709551615"),
        ("1-18446744073709551616", "is at most 18446744073709551615"),
        ("18446744073709551615-0", "lies in the future"),
    ] {
        // THEN that is refused
        let refused = bench.give_up(entry).await.map_err(|error| error.to_string());
        assert!(
            refused.as_ref().is_err_and(|said| said.contains(why)),
            "{entry}: {refused:?}"
        );
    }
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.hole_pass")
            .await?,
        0
    );
    // AND the group goes on when the topic grows
    writer.grow(2).await?;
    writer.put(&["key", "other"]).await?;
    bench.effects(4).await?;
    member.stop().await
}

#[tokio::test]
async fn the_lost_end_of_an_older_stream_is_given_up_while_what_was_applied_is_still_on_it() -> Result {
    // GIVEN a group that passed all that is left of a stream, and the topic grew; a crash of Redis took the entry that says so
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, 1).await?;
    writer.put(&["key", "other"]).await?;
    let member = Member::start(noting(bench.describe(), "one"))?;
    bench.effects(2).await?;
    bench
        .until("select coalesce(bool_or(passed_entry like '%-2'), false) from outbox_ops.inbox")
        .await?;
    writer.grow_silently(2).await?;
    writer.put(&["key"]).await?;
    bench.until_looked_again().await?;
    assert_eq!(bench.value::<i64>("select count(*) from effect").await?, 2);
    // WHEN a person does what the standing says
    bench.give_up(&writer.last_end()).await?;
    // THEN the newer partitions go on
    bench.effects(3).await?;
    assert_all_in_order(&bench, &writer).await?;
    member.stop().await
}

#[tokio::test]
async fn the_lost_end_of_a_generation_is_given_up_on_a_stream_that_goes_on() -> Result {
    // GIVEN a group that passed all of two partitions, which became four; the first one lost the entry that says so
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, 2).await?;
    let (first, second) = (writer.key_in(0), writer.key_in(1));
    let member = Member::start(noting(bench.describe(), "one"))?;
    writer.put(&[&first, &second]).await?;
    bench.effects(2).await?;
    writer.grow_silently(4).await?;
    writer.end(1).await?;
    writer.lose_end(0);
    let keys: Vec<String> = (0..4).map(|partition| writer.key_in(partition)).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    writer.put(&keys).await?;
    bench.until_looked_again().await?;
    assert_eq!(bench.value::<i64>("select count(*) from effect").await?, 2);
    // WHEN a person gives up the entry that the standing names
    bench.give_up_on(&writer.stream(0), &writer.last_end()).await?;
    // THEN the newer partitions go on
    bench.effects(6).await?;
    assert_all_in_order(&bench, &writer).await?;
    member.stop().await
}

#[tokio::test]
async fn three_members_that_crash_keep_the_order_of_a_topic_that_grows_twice() -> Result {
    // GIVEN three members and 40 keys on one stream
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, 1).await?;
    let names = ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9", "m10"];
    let start = |bench: &Bench, n: usize| {
        let short = bench.describe().lease(Duration::from_millis(600)).batch(8);
        Member::start(noting(short, names[n]))
    };
    let mut members = vec![start(&bench, 0)?, start(&bench, 1)?, start(&bench, 2)?];
    let keys: Vec<String> = (0..40).map(|n| format!("key-{n}")).collect();
    // WHEN the topic grows to 4 and to 6 under load, and a member crashes after every third batch
    for round in 0..24 {
        match round {
            6 => writer.grow(4).await?,
            14 => writer.grow(6).await?,
            _ => {}
        }
        let batch: Vec<&str> = (0..60)
            .map(|_| keys[random.random_range(0..keys.len())].as_str())
            .collect();
        writer.put(&batch).await?;
        if round % 3 == 2 {
            bench.effects(writer.total() / 2).await?;
            members.remove(0).crash().await;
            members.push(start(&bench, 3 + round / 3)?);
        }
    }
    bench.effects(writer.total()).await?;
    // THEN nothing is lost, doubled or out of order
    assert_all_in_order(&bench, &writer).await?;
    for member in members {
        member.stop().await?;
    }
    assert_eq!(
        bench.value::<i64>("select count(*) from effect").await?,
        writer.total()
    );
    Ok(())
}

#[tokio::test]
async fn a_stream_that_is_no_more_has_an_owner_as_long_as_events_of_it_are_parked() -> Result {
    // GIVEN a topic that grew, and a member that has passed its older stream and let go of it
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, 1).await?;
    let member = Member::start(noting(bench.describe(), "one"))?;
    writer.put(&["a"]).await?;
    bench.effects(1).await?;
    writer.grow(2).await?;
    let is_held = "select coalesce(bool_or(holder is not null), false) from outbox.consumer_lease
                   where stream = 'outbox:orders.placed'";
    let is_free =
        "select bool_and(holder is null) from outbox.consumer_lease where stream = 'outbox:orders.placed'";
    bench.until(is_free).await?;
    bench
        .until("select count(*) = 2 from outbox.consumer_lease where holder is not null")
        .await?;
    // WHEN an event that came from it waits in its key
    bench
        .pool
        .execute(
            "insert into outbox.parked_lane (consumer, flow, lane, state, stream)
             values ('stock', 'orders.placed', 'ka', 'dead', 'outbox:orders.placed')",
        )
        .await?;
    // THEN somebody is there for it, until it is gone
    bench.until(is_held).await?;
    bench.pool.execute("delete from outbox.parked_lane").await?;
    bench.until(is_free).await?;
    member.stop().await
}

#[tokio::test]
async fn a_writer_that_one_member_found_is_read_by_all() -> Result {
    // GIVEN a member that looks for writers once an hour, and a writer that came afterwards
    let mut bench = Bench::new().await?;
    let hourly = |bench: &Bench| bench.describe().discovery(Some(Duration::from_secs(3600)));
    let one = Member::start(noting(hourly(&bench), "one"))?;
    bench
        .until("select count(*) = 1 from outbox.consumer_lease where holder = 'one'")
        .await?;
    let mut writer = Writer::of(&bench, Some("shop-2"), 3).await?;
    let keys = [writer.key_in(0), writer.key_in(1), writer.key_in(2)];
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    writer.put(&keys).await?;
    // WHEN another member finds it
    let two = Member::start(noting(hourly(&bench), "two"))?;
    bench
        .until(
            "select count(*) filter (where holder = 'one') = 2 and count(*) filter (where holder = 'two') = 2
             from outbox.consumer_lease",
        )
        .await?;
    writer.put(&keys).await?;
    bench.effects(writer.total()).await?;
    // THEN both share its partitions
    assert_all_in_order(&bench, &writer).await?;
    one.stop().await?;
    two.stop().await
}

#[tokio::test]
async fn a_layout_that_cannot_be_read_is_said_and_what_was_known_is_read_on() -> Result {
    // GIVEN a member at work on two partitions
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, 2).await?;
    let consumer = noting(bench.describe(), "one").build()?;
    let mut standing = consumer.standing();
    let token = tokio_util::sync::CancellationToken::new();
    let task = tokio::spawn(consumer.run(token.clone()));
    bench
        .until("select count(*) = 2 from outbox.consumer_lease where holder = 'one'")
        .await?;
    // WHEN somebody writes something else under the key of the layout
    let mut set = redis::cmd("SET");
    set.arg(format!("outbox:@layout:{TOPIC}"))
        .arg("four")
        .query_async::<()>(&mut bench.redis)
        .await?;
    // THEN it says so, and goes on
    let seen = standing
        .wait_for(|standing| standing.cause().is_some())
        .await?
        .clone();
    let cause = seen.cause().ok_or_else(|| Failure::new("no cause"))?;
    assert!(
        cause.contains("outbox:@layout:orders.placed") && cause.contains("1@0,4@1790000000000"),
        "{cause}"
    );
    let (first, second) = (writer.key_in(0), writer.key_in(1));
    writer.put(&[&first, &second]).await?;
    bench.effects(2).await?;
    token.cancel();
    task.await??;
    Ok(())
}

#[tokio::test]
async fn a_seek_to_before_a_topic_grew_goes_on_where_the_older_stream_is_gone() -> Result {
    // GIVEN a group that applied all of a topic that grew, whose older stream was removed since: nobody reads it any more
    let mut bench = Bench::new().await?;
    let mut writer = Writer::new(&bench, 1).await?;
    writer.put(&["key", "other"]).await?;
    writer.grow(2).await?;
    writer.put(&["key"]).await?;
    let member = Member::start(noting(bench.describe(), "one"))?;
    bench.effects(3).await?;
    bench
        .until("select count(*) = 1 from outbox.consumer_stream where passed_batch = 103")
        .await?;
    redis::cmd("DEL")
        .arg(STREAM)
        .query_async::<()>(&mut bench.redis)
        .await?;
    // WHEN it is set back to an entry of that time, and new events come
    let ends = seek::Ends {
        database: bench.world.log().pool_of(Login::Rebuilder).await?,
        redis: redis::Client::open(bench.world.redis_url_of(Login::Rebuilder))?,
        log: None,
    };
    let request = seek::Request {
        group: GROUP.to_owned(),
        topic: TOPIC.to_owned(),
        prefix: "outbox:".to_owned(),
        target: "101-1".parse()?,
        forget: false,
        reason: "a new column".to_owned(),
    };
    let preview = seek::preview(&ends, &request).await?;
    assert_eq!(preview.refusal, None);
    seek::execute(&ends, &request, |_| {}).await?;
    writer.put(&["key", "other"]).await?;
    // THEN they are applied
    bench.effects(5).await?;
    assert_all_in_order(&bench, &writer).await?;
    member.stop().await
}
