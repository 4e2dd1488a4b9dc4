//! A topic gets more partitions: which streams there are, what is on them, and what waits for what.

use std::collections::BTreeSet;
use std::time::Duration;

use outbox_core::tail::partition_of;
use serde_json::{Value, json};
use sqlx::Connection;
use system_tests::patience::until;
use system_tests::plain_reader::{layout, names};
use system_tests::stream::{self, EntryId};
use system_tests::{Invocation, Relay, Result, World};

use super::{LIMIT, append, keys, set_partitions};
use crate::arrivals::arrived;
use crate::publish::action;

#[tokio::test]
async fn a_topic_set_before_its_first_event_never_has_a_stream_without_a_number() -> Result {
    // GIVEN a topic that is set up before its first event, and no relay yet
    let world = World::new().await?;
    set_partitions(&world, "orders", 4)?;
    let mut connection = world.connect().await?;
    let ids = append(&mut connection, "orders", &keys(200)).await?;
    sqlx::query("select outbox.append('orders', '{}') from generate_series(1, 40)")
        .execute(&mut connection)
        .await?;
    // WHEN one comes that finds events of many keys and without a key
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    // THEN they are on four streams, each where its key belongs
    let mut redis = world.redis().await?;
    until("240 entries", LIMIT, async || {
        let streams = stream::of_topic(&mut redis, "orders").await?;
        let count: usize = streams.iter().map(|(_, entries)| entries.len()).sum();
        Ok((count >= 240).then_some(()))
    })
    .await?;
    let streams = stream::of_topic(&mut redis, "orders").await?;
    let found: Vec<&str> = streams.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(found, names("orders", 4));
    for (number, (_, entries)) in streams.iter().enumerate() {
        for entry in entries {
            let key = entry.attribute("partitionkey")?;
            let key = key.unwrap_or_else(|| entry.event_id.to_string());
            assert_eq!(usize::from(partition_of(&key, 4)), number, "{key}");
            assert!(!entry.is_control());
        }
    }
    let published: BTreeSet<_> = streams
        .iter()
        .flat_map(|(_, entries)| entries)
        .collect::<Vec<_>>()
        .iter()
        .map(|entry| entry.event_id)
        .collect();
    assert!(published.len() == 240 && ids.iter().all(|id| published.contains(id)));
    assert_eq!(layout(&mut redis, "orders").await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn moved_is_the_last_entry_of_the_old_stream_and_the_layout_says_where() -> Result {
    // GIVEN a topic with events on its one stream, and one of two writers
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    sqlx::query("update outbox.settings set writer = 'eu'")
        .execute(&mut connection)
        .await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    append(&mut connection, "orders", &keys(10)).await?;
    let mut redis = world.redis().await?;
    let before = arrived(&mut redis, "outbox:orders@eu", 10).await?;
    // WHEN it gets three partitions, and later five
    set_partitions(&world, "orders", 3)?;
    append(&mut connection, "orders", &keys(10)).await?;
    let moved = arrived(&mut redis, "outbox:orders@eu", 11).await?;
    set_partitions(&world, "orders", 5)?;
    append(&mut connection, "orders", &keys(10)).await?;
    // THEN the old stream ends with an entry that says so, chained behind the others
    assert_eq!(moved.len(), 11);
    let last = &moved[10];
    assert_eq!(last.previous_id, Some(before[9].id));
    assert_eq!(
        (last.id.1, last.attribute("type")?.as_deref()),
        (0, Some("outbox.moved"))
    );
    let told: Value = serde_json::from_str(&last.json)?;
    assert_eq!(
        told["data"],
        json!({ "topic": "orders", "generation": 1, "from": 1, "to": 3 })
    );
    // AND so does each stream of the second growth, with more behind it where it goes on
    let text: String = until("the layout", LIMIT, async || {
        let text: Option<String> = redis::cmd("GET")
            .arg("outbox:@layout:orders@eu")
            .query_async(&mut redis)
            .await?;
        Ok(text.filter(|text| text.matches(',').count() == 2))
    })
    .await?;
    let batches: Vec<u64> = text
        .split(',')
        .filter_map(|part| part.split_once('@')?.1.parse().ok())
        .collect();
    assert_eq!(text, format!("1@0,3@{},5@{}", batches[1], batches[2]));
    assert_eq!(last.id, EntryId(batches[1], 0));
    for number in 0..3 {
        let key = format!("outbox:orders:{number}@eu");
        let end = until("the end of the generation", LIMIT, async || {
            let entries = stream::entries(&mut redis, &key).await?;
            Ok(entries
                .into_iter()
                .find(|entry| entry.id == EntryId(batches[2], 0)))
        })
        .await?;
        assert!(end.is_control(), "{key}");
    }
    // AND the views tell of every stream
    // Progress is recorded a little after the entries are there.
    let streams = until("the end of the old stream in the view", LIMIT, async || {
        let streams: Vec<(String, i32, String)> = sqlx::query_as(
            "select stream, partition, state from outbox_ops.topics where topic = 'orders' order by stream",
        )
        .fetch_all(&mut connection)
        .await?;
        Ok(streams
            .iter()
            .any(|stream| stream.2 == "ended")
            .then_some(streams))
    })
    .await?;
    assert_eq!(streams.len(), 6);
    assert_eq!(streams[0], ("orders".to_owned(), 0, "ended".to_owned()));
    assert_eq!(streams[5], ("orders:4".to_owned(), 4, "moving".to_owned()));
    Ok(())
}

#[tokio::test]
async fn a_sleeping_leader_lays_partitions_at_once() -> Result {
    // GIVEN a leader that sleeps for minutes if nobody rings
    let world = World::with_own_servers(Default::default(), Default::default()).await?;
    let mut relay = Relay::of(&world).set("OUTBOX_TAIL_SLOW_POLL", "5m").start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "orders", &keys(1)).await?;
    let mut redis = world.redis().await?;
    arrived(&mut redis, "outbox:orders", 1).await?;
    let locks = "select count(*) from pg_locks where locktype = 'advisory' and mode = 'ExclusiveLock' and objsubid = 1
                 and (classid::bigint << 32 | objid::bigint) = 122550254464888";
    until("it sleeps", LIMIT, async || {
        let asleep: i64 = sqlx::query_scalar(locks).fetch_one(&mut connection).await?;
        Ok((asleep > 0).then_some(()))
    })
    .await?;
    // WHEN a topic of which nothing comes gets partitions, THEN its stream ends
    set_partitions(&world, "orders", 2)?;
    let ended = arrived(&mut redis, "outbox:orders", 2).await?;
    assert!(ended[1].is_control());
    Ok(())
}

#[tokio::test]
async fn an_event_in_an_open_transaction_at_growth_goes_where_its_key_belongs_then() -> Result {
    // GIVEN a transaction that appended before the topic grew, and is still open
    let world = World::with_own_servers(Default::default(), Default::default()).await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "orders", &["first".to_owned()]).await?;
    let mut redis = world.redis().await?;
    arrived(&mut redis, "outbox:orders", 1).await?;
    let mut early = world.connect().await?;
    let mut held = early.begin().await?;
    append(&mut held, "orders", &["held".to_owned()]).await?;
    // WHEN the topic grows, more is published, and then it commits
    set_partitions(&world, "orders", 4)?;
    append(&mut connection, "orders", &["later".to_owned()]).await?;
    let later = format!("outbox:orders:{}", partition_of("later", 4));
    arrived(&mut redis, &later, 1).await?;
    held.commit().await?;
    // THEN it is on the stream of its key, and the old one has ended
    let late = format!("outbox:orders:{}", partition_of("held", 4));
    until("the late event", LIMIT, async || {
        let entries = stream::entries(&mut redis, &late).await?;
        let is_held = |key: Option<String>| key.as_deref() == Some("held");
        Ok(entries
            .iter()
            .any(|entry| entry.attribute("partitionkey").is_ok_and(is_held))
            .then_some(()))
    })
    .await?;
    assert_eq!(arrived(&mut redis, "outbox:orders", 2).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_stream_set_aside_at_growth_waits_alone_and_its_end_with_it() -> Result {
    // GIVEN a topic that is set aside at an event which the sink does not take
    let world = World::new().await?;
    let mut relay = Relay::of(&world)
        .set("OUTBOX_PUBLISH_MAX_ENTRY_BYTES", 2_000)
        .start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "orders", &keys(1)).await?;
    let mut redis = world.redis().await?;
    arrived(&mut redis, "outbox:orders", 1).await?;
    let large: uuid::Uuid =
        sqlx::query_scalar("select outbox.append('orders', to_json(repeat('x', 3000)), key => 'k')")
            .fetch_one(&mut connection)
            .await?;
    append(&mut connection, "orders", &["behind".to_owned()]).await?;
    action(&mut connection, "orders", "set_aside").await?;
    // WHEN the topic grows
    set_partitions(&world, "orders", 2)?;
    append(&mut connection, "orders", &["new".to_owned()]).await?;
    // THEN the new streams move, and the old one waits with its end
    let new = format!("outbox:orders:{}", partition_of("new", 2));
    arrived(&mut redis, &new, 1).await?;
    assert_eq!(stream::length(&mut redis, "outbox:orders").await?, 1);
    // AND it is the one that is meant without a number, here by the command
    let id = large.to_string();
    let arguments = [
        "topic",
        "skip-event",
        "orders",
        "--event",
        &id,
        "--reason",
        "test",
        "--yes",
    ];
    let skipped = Invocation::of(&world, &arguments)?.ask()?;
    assert_eq!(skipped.code, 0, "{}", skipped.errors);
    let old = arrived(&mut redis, "outbox:orders", 3).await?;
    assert_eq!(old[1].attribute("partitionkey")?.as_deref(), Some("behind"));
    assert!(old[2].is_control() && old[2].previous_id == Some(old[1].id));
    Ok(())
}

#[tokio::test]
async fn a_partition_stops_alone_and_goes_on_by_its_number() -> Result {
    // GIVEN a topic of two partitions, both of which are set aside at an event
    let world = World::new().await?;
    let mut relay = Relay::of(&world)
        .set("OUTBOX_PUBLISH_MAX_ENTRY_BYTES", 2_000)
        .start()?;
    relay.leads().await?;
    set_partitions(&world, "orders", 2)?;
    let mut connection = world.connect().await?;
    for number in 0..2 {
        let key = keys(50).into_iter().find(|key| partition_of(key, 2) == number);
        sqlx::query("select outbox.append('orders', to_json(repeat('x', 3000)), key => $1)")
            .bind(key)
            .execute(&mut connection)
            .await?;
    }
    until("both are set aside", LIMIT, async || {
        let aside: i64 =
            sqlx::query_scalar("select count(*) from outbox_ops.topics where state = 'set_aside'")
                .fetch_one(&mut connection)
                .await?;
        Ok((aside == 2).then_some(()))
    })
    .await?;
    relay.terminate().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    // WHEN a person resumes the topic, THEN it must say which
    let resume = ["topic", "resume", "orders", "--reason", "limit raised"];
    let refused = Invocation::of(&world, &resume)?.ask()?;
    assert_eq!(refused.code, 4, "{}", refused.output);
    assert!(
        refused
            .errors
            .contains("several partitions of topic orders wait: say which of them is meant: 0, 1"),
        "{}",
        refused.errors
    );
    // AND only that one goes on
    let one = Invocation::of(&world, &[&resume[..], &["--partition", "1"]].concat())?.ask()?;
    assert_eq!(one.code, 0, "{}", one.errors);
    let mut redis = world.redis().await?;
    arrived(&mut redis, "outbox:orders:1", 1).await?;
    let states: Vec<String> = sqlx::query_scalar("select state from outbox_ops.topics order by stream")
        .fetch_all(&mut connection)
        .await?;
    assert_eq!(states, ["set_aside", "moving"]);
    assert_eq!(stream::length(&mut redis, "outbox:orders:0").await?, 0);
    Ok(())
}

#[tokio::test]
async fn new_streams_wait_until_the_old_one_is_there() -> Result {
    // GIVEN a topic whose first event is not on its stream yet: there is a key of another type
    let world = World::new().await?;
    let mut redis = world.redis().await?;
    redis::cmd("SET")
        .arg("outbox:orders")
        .arg("text")
        .query_async::<()>(&mut redis)
        .await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "orders", &keys(1)).await?;
    action(&mut connection, "orders", "blocked").await?;
    // WHEN it grows and more comes
    set_partitions(&world, "orders", 2)?;
    append(&mut connection, "orders", &keys(20)).await?;
    append(&mut connection, "other", &keys(1)).await?;
    until("it is cut", LIMIT, async || {
        let waiting: Option<i64> = sqlx::query_scalar("select sum(events)::bigint from outbox_ops.backlog where topic = 'orders' and partition >= 0 and stream <> 'orders'")
            .fetch_one(&mut connection)
            .await?;
        let cut: i64 = sqlx::query_scalar("select count(*) from outbox.share where topic = 'orders' and partition > 0")
            .fetch_one(&mut connection)
            .await?;
        Ok((waiting == Some(20) && cut == 2).then_some(()))
    })
    .await?;
    arrived(&mut redis, "outbox:other", 1).await?;
    // THEN a reader cannot take the missing stream for one that has nothing: the new ones are not there either
    assert_eq!(
        stream::keys_of_topic(&mut redis, "orders").await?,
        ["outbox:orders"]
    );
    // AND everything goes on when the cause is mended
    redis::cmd("DEL")
        .arg("outbox:orders")
        .query_async::<()>(&mut redis)
        .await?;
    assert_eq!(arrived(&mut redis, "outbox:orders", 2).await?.len(), 2);
    until("the new ones", LIMIT, async || {
        let streams = stream::of_topic(&mut redis, "orders").await?;
        let count: usize = streams.iter().map(|(_, entries)| entries.len()).sum();
        Ok((count == 22).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_layout_that_redis_lost_is_there_again_within_seconds() -> Result {
    // GIVEN a topic with partitions
    let world = World::new().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    set_partitions(&world, "orders", 2)?;
    append(&mut world.connect().await?, "orders", &keys(1)).await?;
    let mut redis = world.redis().await?;
    let is_there = async |redis: &mut redis::aio::MultiplexedConnection| {
        until("the layout", LIMIT, async || {
            Ok((layout(redis, "orders").await?.len() == 2).then_some(()))
        })
        .await
    };
    is_there(&mut redis).await?;
    // WHEN its key is gone without anyone being disconnected, THEN it comes back by itself
    redis::cmd("DEL")
        .arg("outbox:@layout:orders")
        .query_async::<()>(&mut redis)
        .await?;
    is_there(&mut redis).await?;
    // AND what somebody else wrote there is not written over: the topic waits, and says why
    redis::cmd("SET")
        .arg("outbox:@layout:orders")
        .arg("1@0,64@5")
        .query_async::<()>(&mut redis)
        .await?;
    let reason = action(&mut world.connect().await?, "orders", "blocked").await?;
    assert!(reason.contains("does not say what this ledger says"), "{reason}");
    let kept: String = redis::cmd("GET")
        .arg("outbox:@layout:orders")
        .query_async(&mut redis)
        .await?;
    assert_eq!(kept, "1@0,64@5");
    Ok(())
}

#[tokio::test]
async fn nothing_of_a_new_generation_leaves_before_the_layout_is_known() -> Result {
    // GIVEN a user of Redis who may not set keys
    let world = World::new().await?;
    let mut redis = world.redis().await?;
    let user = world.log().name().to_owned();
    let mut allow = async |rule: &str| {
        redis::cmd("ACL")
            .arg("SETUSER")
            .arg(&[user.as_str(), "on", ">secret", "~*", "+@all", rule])
            .query_async::<()>(&mut redis)
            .await
    };
    allow("-set").await?;
    let url = world
        .redis_url()
        .replacen("redis://", &format!("redis://{user}:secret@"), 1);
    let mut relay = Relay::of(&world).set("REDIS_URL", url).start()?;
    relay.leads().await?;
    // WHEN a topic gets partitions, THEN it waits, says why, and others do not wait
    set_partitions(&world, "orders", 2)?;
    let mut connection = world.connect().await?;
    append(&mut connection, "orders", &keys(10)).await?;
    append(&mut connection, "other", &keys(1)).await?;
    let reason = action(&mut connection, "orders", "blocked").await?;
    assert!(reason.contains("set"), "{reason}");
    let mut witness = world.redis().await?;
    arrived(&mut witness, "outbox:other", 1).await?;
    assert_eq!(stream::keys_of_topic(&mut witness, "orders").await?.len(), 0);
    // AND goes on by itself when the right is granted
    allow("+set").await?;
    until("both streams", LIMIT, async || {
        Ok((stream::keys_of_topic(&mut witness, "orders").await?.len() == 2).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_topic_only_grows_and_the_refusal_says_so() -> Result {
    // GIVEN a topic of four partitions
    let world = World::new().await?;
    set_partitions(&world, "orders", 4)?;
    // WHEN a person asks for fewer, THEN it is refused with the reason
    let fewer = Invocation::of(&world, &["topic", "set", "orders", "--partitions", "2"])?.ask()?;
    assert_eq!(fewer.code, 1);
    assert!(
        fewer
            .errors
            .contains("has 4 partitions, and the number only grows: 2 refused"),
        "{}",
        fewer.errors
    );
    assert!(
        fewer.errors.contains("never fewer than before"),
        "{}",
        fewer.errors
    );
    // AND for a number that cannot be
    for number in ["0", "1025", "x"] {
        let odd = Invocation::of(&world, &["topic", "set", "orders", "--partitions", number])?.ask()?;
        assert_eq!(odd.code, 2, "{number}: {}", odd.errors);
    }
    // AND the same again, or another class alone, changes nothing about it
    set_partitions(&world, "orders", 4)?;
    let class = Invocation::of(
        &world,
        &[
            "--output",
            "json",
            "topic",
            "set",
            "orders",
            "--retention",
            "audit",
        ],
    )?
    .ask()?;
    assert_eq!(class.json()?["partitions"], 4, "{}", class.errors);
    // AND its events are kept as the class says, also with partitions
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "orders", &keys(30)).await?;
    let mut redis = world.redis().await?;
    until("all of them", Duration::from_secs(120), async || {
        let streams = stream::of_topic(&mut redis, "orders").await?;
        let count: usize = streams.iter().map(|(_, entries)| entries.len()).sum();
        Ok((count == 30).then_some(()))
    })
    .await?;
    let kept: i64 = sqlx::query_scalar("select count(*) from outbox.log_audit")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(kept, 30);
    Ok(())
}
