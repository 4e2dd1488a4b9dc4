//! Publishing: entries as promised, and streams that halt alone and resume in order.

use std::time::Duration;

use serde_json::json;
use sqlx::{PgConnection, Row};
use system_tests::patience::until;
use system_tests::stream::EntryId;
use system_tests::{Relay, Result, World};

use crate::arrivals::arrived;

pub(crate) async fn append(connection: &mut PgConnection, topic: &str, number: i64) -> Result<uuid::Uuid> {
    Ok(
        sqlx::query_scalar("select outbox.append($1, $2::json, key => 'k')")
            .bind(topic)
            .bind(json!({ "n": number }).to_string())
            .fetch_one(connection)
            .await?,
    )
}

/// Why a stream was said to have lost its end: the relay repairs it soon after, and says so too.
pub(crate) async fn lost(connection: &mut PgConnection, topic: &str) -> Result<String> {
    until(
        "a stream is said to have lost its end",
        Duration::from_secs(60),
        async || {
            let question = "select reason from outbox.stream_action where topic = $1 and action = 'lost'";
            Ok(sqlx::query_scalar(question)
                .bind(topic)
                .fetch_optional(&mut *connection)
                .await?)
        },
    )
    .await
}

/// Waits until the relay has recorded an action about a topic; asked each time something can have changed.
pub(crate) async fn action(connection: &mut PgConnection, topic: &str, wanted: &str) -> Result<String> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    loop {
        let row = sqlx::query(
            "select action, reason from outbox.stream_action where topic = $1 order by number desc limit 1",
        )
        .bind(topic)
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(row) = row
            && row.get::<String, _>("action") == wanted
        {
            return Ok(row.get("reason"));
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{topic} was never {wanted}"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn every_entry_names_the_one_before_it_and_the_mark_says_who_published() -> Result {
    // GIVEN a relay and five events in three transactions
    let world = World::new().await?;
    let mut relay = Relay::of(&world).start()?;
    let mut connection = world.connect().await?;
    relay.leads().await?;
    for n in 0..5 {
        append(&mut connection, "a.b", n).await?;
    }
    // WHEN they arrive
    let mut redis = world.redis().await?;
    let found = arrived(&mut redis, "outbox:a.b", 5).await?;
    // THEN ids rise, each names its predecessor, and the mark is of this database
    assert_eq!(found.len(), 5);
    for pair in found.windows(2) {
        assert!(pair[0].id < pair[1].id);
        assert_eq!(pair[1].previous_id, Some(pair[0].id));
    }
    let positions: Vec<i64> = sqlx::query_scalar("select position from outbox.log order by position")
        .fetch_all(&mut connection)
        .await?;
    assert_eq!(
        found
            .iter()
            .map(|entry| entry.id.1.cast_signed())
            .collect::<Vec<_>>(),
        positions
    );
    let database: String = sqlx::query_scalar("select database_id::text from outbox.settings")
        .fetch_one(&mut connection)
        .await?;
    let mark: redis::streams::StreamRangeReply = redis::cmd("XRANGE")
        .arg("outbox:@mark:a.b")
        .arg("-")
        .arg("+")
        .query_async(&mut redis)
        .await?;
    assert_eq!(mark.ids.len(), 1);
    let marked: Option<String> = mark.ids[0].get("database");
    assert!(marked.is_some_and(|marked| marked.starts_with(&database)));
    Ok(())
}

#[tokio::test]
async fn a_stream_of_the_wrong_type_lags_alone_and_goes_on_by_itself() -> Result {
    // GIVEN a key of another type where the stream of one topic belongs
    let world = World::new().await?;
    let mut redis = world.redis().await?;
    redis::cmd("SET")
        .arg("outbox:bad")
        .arg("text")
        .query_async::<()>(&mut redis)
        .await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    // WHEN events of both topics are appended
    for n in 0..3 {
        append(&mut connection, "bad", n).await?;
        append(&mut connection, "good", n).await?;
    }
    // THEN the other topic flows, the bad one is said to be blocked, and the relay is ready
    arrived(&mut redis, "outbox:good", 3).await?;
    let reason = action(&mut connection, "bad", "blocked").await?;
    assert!(reason.contains("not a stream"), "{reason}");
    relay.ready().await?;
    // AND when the key is gone, everything follows in order
    redis::cmd("DEL")
        .arg("outbox:bad")
        .query_async::<()>(&mut redis)
        .await?;
    let found = arrived(&mut redis, "outbox:bad", 3).await?;
    assert_eq!(found.len(), 3);
    assert!(
        found
            .windows(2)
            .all(|pair| pair[1].previous_id == Some(pair[0].id))
    );
    action(&mut connection, "bad", "unblocked").await?;
    Ok(())
}

#[tokio::test]
async fn an_event_too_large_for_the_sink_sets_its_topic_aside_until_it_is_skipped() -> Result {
    // GIVEN a sink that takes entries of 2,000 bytes
    let world = World::new().await?;
    let mut relay = Relay::of(&world)
        .set("OUTBOX_PUBLISH_MAX_ENTRY_BYTES", 2_000)
        .start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    let mut redis = world.redis().await?;
    // WHEN a larger one comes between others
    append(&mut connection, "t", 1).await?;
    let large: uuid::Uuid =
        sqlx::query_scalar("select outbox.append('t', to_json(repeat('x', 3000)), key => 'k')")
            .fetch_one(&mut connection)
            .await?;
    append(&mut connection, "t", 3).await?;
    append(&mut connection, "other", 1).await?;
    // THEN its topic waits behind it and another does not
    arrived(&mut redis, "outbox:other", 1).await?;
    let reason = action(&mut connection, "t", "set_aside").await?;
    assert!(reason.contains("bytes"), "{reason}");
    assert_eq!(arrived(&mut redis, "outbox:t", 1).await?.len(), 1);
    // AND after a person skipped it, the rest follows, chained to what is on the stream
    sqlx::query("select outbox.skip_event('t', $1, 'test: never wanted')")
        .bind(large)
        .execute(&mut connection)
        .await?;
    let found = arrived(&mut redis, "outbox:t", 2).await?;
    assert_eq!(found.len(), 2);
    assert_eq!(found[1].previous_id, Some(found[0].id));
    let kept: uuid::Uuid = sqlx::query_scalar("select id from outbox.unpublished")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(kept, large);
    Ok(())
}

#[tokio::test]
async fn a_topic_resumed_after_the_limit_was_raised_keeps_its_order() -> Result {
    // GIVEN a topic set aside at an event that is too large
    let world = World::new().await?;
    let mut relay = Relay::of(&world)
        .set("OUTBOX_PUBLISH_MAX_ENTRY_BYTES", 2_000)
        .start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    sqlx::query("select outbox.append('t', to_json(repeat('x', 3000)))")
        .execute(&mut connection)
        .await?;
    append(&mut connection, "t", 2).await?;
    action(&mut connection, "t", "set_aside").await?;
    // WHEN a relay with a higher limit takes over and a person resumes it
    relay.terminate().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    sqlx::query("select outbox.resume_topic('t', 'test: limit raised')")
        .execute(&mut connection)
        .await?;
    // THEN both arrive, in order, under the ids they always had
    let mut redis = world.redis().await?;
    let found = arrived(&mut redis, "outbox:t", 2).await?;
    assert!(found[0].json.contains("xxx") && found[1].json.contains("\"n\":2"));
    assert_eq!(found[0].previous_id.filter(|id| *id > EntryId(0, 0)), None);
    assert_eq!(found[1].previous_id, Some(found[0].id));
    Ok(())
}

#[tokio::test]
async fn a_stream_that_was_deleted_is_noticed_and_said() -> Result {
    // GIVEN a stream with confirmed entries
    let world = World::new().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    let mut redis = world.redis().await?;
    append(&mut connection, "lost", 1).await?;
    append(&mut connection, "kept", 1).await?;
    arrived(&mut redis, "outbox:lost", 1).await?;
    arrived(&mut redis, "outbox:kept", 1).await?;
    // WHEN it is deleted without anyone being disconnected
    redis::cmd("DEL")
        .arg("outbox:lost")
        .query_async::<()>(&mut redis)
        .await?;
    // THEN the comparison notices it without a new event, and other topics go on
    let reason = lost(&mut connection, "lost").await?;
    assert!(reason.contains("no longer holds"), "{reason}");
    append(&mut connection, "kept", 2).await?;
    arrived(&mut redis, "outbox:kept", 2).await?;
    Ok(())
}

#[tokio::test]
async fn a_second_database_is_refused_the_stream_naming_both() -> Result {
    // GIVEN a topic published by one database
    let world = World::new().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    let mut redis = world.redis().await?;
    append(&mut connection, "shared", 1).await?;
    arrived(&mut redis, "outbox:shared", 1).await?;
    // WHEN another database publishes the same topic to the same Redis
    let other = World::new().await?;
    let mut stranger = other.connect().await?;
    // Both were made from one template: one that only has another number would be taken for a copy.
    sqlx::query("update outbox.settings set database_id = gen_random_uuid()")
        .execute(&mut stranger)
        .await?;
    append(&mut stranger, "shared", 1).await?;
    let mut second = Relay::of(&other).set("REDIS_URL", world.redis_url()).start()?;
    second.leads().await?;
    // THEN the stream is refused to it, naming both, and nothing of it arrives
    let reason = action(&mut stranger, "shared", "set_aside").await?;
    for of in [&mut connection, &mut stranger] {
        let id: String = sqlx::query_scalar(
            "select database_id || '/' || oid from outbox.settings, pg_database where datname = current_database()",
        )
        .fetch_one(of)
        .await?;
        assert!(reason.contains(&id), "{reason}");
    }
    assert_eq!(arrived(&mut redis, "outbox:shared", 1).await?.len(), 1);
    // AND with a writer's name it has a stream of its own
    second.terminate().await?;
    sqlx::query("update outbox.settings set writer = 'b'")
        .execute(&mut stranger)
        .await?;
    sqlx::query("select outbox.resume_topic('shared', 'test: writer set')")
        .execute(&mut stranger)
        .await?;
    let mut second = Relay::of(&other).set("REDIS_URL", world.redis_url()).start()?;
    second.leads().await?;
    assert_eq!(arrived(&mut redis, "outbox:shared@b", 1).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_database_that_began_to_write_meanwhile_is_noticed_by_the_next_parcel() -> Result {
    // GIVEN a topic published by one database
    let world = World::new().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    let mut redis = world.redis().await?;
    append(&mut connection, "t", 1).await?;
    arrived(&mut redis, "outbox:t", 1).await?;
    // WHEN another one marks the stream as its own, as one does that began at the same moment
    redis::cmd("XADD")
        .arg(&[
            "outbox:@mark:t",
            "99999999999999-0",
            "database",
            "the-other/1",
            "epoch",
            "1",
        ])
        .query_async::<()>(&mut redis)
        .await?;
    append(&mut connection, "t", 2).await?;
    // THEN the stream is refused without a new connection, naming the other
    let reason = action(&mut connection, "t", "set_aside").await?;
    assert!(reason.contains("the-other/1"), "{reason}");
    Ok(())
}

#[tokio::test]
async fn a_backlog_of_every_kind_of_event_goes_out_as_it_was_appended() -> Result {
    // GIVEN a log of small events among which some are larger than a chunk has room for each, and no relay so far
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    sqlx::query(
        r#"select outbox.append('all',
                case when n % 7 > 0 then (case when n % 13 = 0 then E' \t' else '' end
                    || json_build_object('n', n, 'said', E'a "b"\né', 'filling', repeat('x', case when n % 997 = 0 then 20000 else 10 end))
                    || case when n % 13 = 0 then E'\r\n ' else '' end)::json end,
                key => case when n % 3 > 0 then 'k-' || n end, subject => case when n % 5 = 0 then E'a "subject"\té' end,
                "time" => case when n % 2 = 0 then '0001-01-01 00:00:00.000001+00'::timestamptz end,
                extensions => case when n % 4 = 0 then '{"zone":"a \"b\"","attempt":3,"test":true}'::json end,
                data_binary => case when n % 7 = 0 then decode(repeat('00ff', case when n % 49 = 0 then 9000 else 3 end), 'hex') end)
            from generate_series(1, 3000) n"#,
    )
    .execute(&mut connection)
    .await?;
    // WHEN a relay publishes it
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let mut redis = world.redis().await?;
    arrived(&mut redis, "outbox:all", 3000).await?;
    // AND one more comes alone
    sqlx::query(r#"select outbox.append('all', E' \n{ "n": 1 }\t')"#)
        .execute(&mut connection)
        .await?;
    let found = arrived(&mut redis, "outbox:all", 3001).await?;
    // THEN every entry says what its row says, in order, and names the one before it
    let rows: Vec<(i64, String, Option<String>)> = sqlx::query_as(
        r#"select position, concat_ws('|', id, key, subject, to_char(coalesce(time, recorded_at) at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                extensions ->> 'zone', extensions ->> 'attempt', extensions ->> 'test', btrim(data, E' \t\r\n'),
                translate(encode(data_binary, 'base64'), E'\n', '')),
                '"data":' || btrim(data, E' \t\r\n') || '}'
            from outbox.log where topic = 'all' order by position"#,
    )
    .fetch_all(&mut connection)
    .await?;
    assert_eq!((found.len(), rows.len()), (3001, 3001));
    let mut previous = None;
    for (entry, (position, expected, end)) in found.iter().zip(rows) {
        assert_eq!(
            (entry.id.1.cast_signed(), entry.previous_id),
            (position, previous)
        );
        assert_eq!(told(&entry.json)?, expected);
        // What stands around a payload is no part of it, and is left out however the event came.
        assert!(entry.json.ends_with(&end.unwrap_or_default()), "{}", entry.json);
        previous = Some(entry.id);
    }
    Ok(())
}

/// What an event says, as its row was asked for it above: payloads byte for byte.
fn told(json: &str) -> Result<String> {
    let members: std::collections::HashMap<String, Box<serde_json::value::RawValue>> =
        serde_json::from_str(json)?;
    let names = [
        "id",
        "partitionkey",
        "subject",
        "time",
        "zone",
        "attempt",
        "test",
        "data",
        "data_base64",
    ];
    let texts = names
        .iter()
        .filter_map(|name| members.get(*name).map(|raw| (*name, raw.get())));
    let plain = texts.map(|(name, raw)| match name {
        "data" | "attempt" | "test" => Ok(raw.to_owned()),
        _ => Ok(serde_json::from_str(raw)?),
    });
    Ok(plain.collect::<Result<Vec<String>>>()?.join("|"))
}

#[tokio::test]
async fn binary_mode_is_one_field_per_attribute() -> Result {
    // GIVEN a relay in binary mode
    let world = World::new().await?;
    let mut relay = Relay::of(&world).set("OUTBOX_PUBLISH_MODE", "binary").start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    // WHEN an event with bytes is appended
    sqlx::query("select outbox.append('b', data_binary => '\\x00ff'::bytea, data_content_type => 'application/octet-stream')")
        .execute(&mut connection)
        .await?;
    // THEN its entry holds the bytes as they are
    let mut redis = world.redis().await?;
    let options = redis::streams::StreamReadOptions::default()
        .block(20_000)
        .count(1);
    let read: Option<redis::streams::StreamReadReply> =
        redis::AsyncCommands::xread_options(&mut redis, &["outbox:b"], &["0-0"], &options).await?;
    let entry = read
        .and_then(|mut read| read.keys.pop())
        .and_then(|mut key| key.ids.pop());
    let entry = entry.ok_or_else(|| system_tests::Failure::new("no entry"))?;
    assert!(entry.map.len() > 5, "{:?}", entry.map.keys());
    assert!(
        entry
            .map
            .values()
            .any(|value| *value == redis::Value::BulkString(vec![0x00, 0xff]))
    );
    Ok(())
}

#[tokio::test]
async fn without_the_right_to_transactions_nothing_is_sent() -> Result {
    // GIVEN a user of Redis who may do everything but MULTI: without it a parcel could be taken in part
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
    allow("-multi").await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "t", 1).await?;
    let url = world
        .redis_url()
        .replacen("redis://", &format!("redis://{user}:secret@"), 1);
    let mut relay = Relay::of(&world).set("REDIS_URL", url).start()?;
    // WHEN a relay leads, THEN it says so and sends nothing
    relay.not_ready_because("refuses MULTI").await?;
    let mut witness = world.redis().await?;
    assert_eq!(system_tests::stream::length(&mut witness, "outbox:t").await?, 0);
    // AND it goes on by itself when the right is granted
    allow("+multi").await?;
    assert_eq!(arrived(&mut witness, "outbox:t", 1).await?.len(), 1);
    Ok(())
}
