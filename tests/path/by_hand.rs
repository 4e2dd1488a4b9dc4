//! What somebody did by hand in schema outbox, as a member of its owner: it stops nobody else, and is said.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sqlx::{Executor, PgConnection};
use system_tests::patience::until;
use system_tests::{Failure, Relay, Result, World};

use crate::arrivals::arrived;
use crate::publish::{action, append};

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_row_whose_topic_is_no_name_stops_no_topic() -> Result {
    // GIVEN a relay
    let world = World::new().await?;
    let mut relay = Relay::of(&world).start()?;
    let mut connection = world.connect().await?;
    relay.leads().await?;
    append(&mut connection, "orders", 1).await?;
    // WHEN rows are inserted by hand that no function of the outbox would insert, in one transaction with one that is right
    connection
        .execute(
            "begin;
             insert into outbox.log (retention, topic, id, source, type) values ('standard', 'no name', gen_random_uuid(), '/', 'a');
             insert into outbox.log (retention, topic, id, source, type) values ('standard', 'no name', gen_random_uuid(), '/', 'a');
             insert into outbox.log (retention, topic, id, source, type) values ('audit', repeat('x', 201), gen_random_uuid(), '/', 'a');
             insert into outbox.log (retention, topic, id, source, type, data_content_type, data, data_binary)
             values ('standard', 'orders', gen_random_uuid(), '/', 'two.payloads', 'application/json', '{}', '\\x00')",
        )
        .await?;
    append(&mut connection, "orders", 2).await?;
    connection.execute("commit").await?;
    append(&mut connection, "parcels", 3).await?;
    // THEN everything with a topic goes on
    let mut redis = world.redis().await?;
    assert_eq!(arrived(&mut redis, "outbox:orders", 3).await?.len(), 3);
    assert_eq!(arrived(&mut redis, "outbox:parcels", 1).await?.len(), 1);
    // AND the rest is kept by name, and said once
    relay.logs("EVENTS-WITHOUT-A-TOPIC", LIMIT).await?;
    let kept: Vec<(String, i64, i64)> = sqlx::query_as(
        "select left(topic, 7), event_count, last_position - first_position from outbox.misnamed_topic order by first_position",
    )
    .fetch_all(&mut connection)
    .await?;
    assert_eq!(kept, [("no name".to_owned(), 2, 1), ("xxxxxxx".to_owned(), 1, 0)]);
    let topics: Vec<String> = sqlx::query_scalar("select name from outbox.topic order by name")
        .fetch_all(&mut connection)
        .await?;
    assert_eq!(topics, ["orders", "parcels"]);
    Ok(())
}

#[tokio::test]
async fn a_constraint_that_the_ledger_would_break_is_said_and_waited_out() -> Result {
    // GIVEN a relay, and a constraint that somebody added to the ledger
    let world = World::new().await?;
    let mut relay = Relay::of(&world).start()?;
    let mut connection = world.connect().await?;
    relay.leads().await?;
    connection
        .execute("alter table outbox.batch add constraint added_by_hand check (number < 1) not valid")
        .await?;
    // WHEN something is appended THEN what is in the way is named, as what it is
    append(&mut connection, "orders", 1).await?;
    let line = relay
        .logs("would break the constraint that is named", LIMIT)
        .await?;
    assert!(line.contains("added_by_hand"), "{line}");
    // AND it goes on by itself when that is gone
    connection
        .execute("alter table outbox.batch drop constraint added_by_hand")
        .await?;
    let mut redis = world.redis().await?;
    assert_eq!(arrived(&mut redis, "outbox:orders", 1).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_row_above_the_sequence_is_said_before_a_batch_passes_it() -> Result {
    // GIVEN a relay that has published, and nothing more to publish
    let world = World::new().await?;
    let mut relay = Relay::of(&world).set("OUTBOX_MAINTAIN_INTERVAL", "1s").start()?;
    let mut connection = world.connect().await?;
    relay.leads().await?;
    append(&mut connection, "orders", 1).await?;
    let mut redis = world.redis().await?;
    arrived(&mut redis, "outbox:orders", 1).await?;
    // WHEN a row is inserted by hand with a position of its own, far above what was drawn
    connection
        .execute(
            "insert into outbox.log (position, retention, topic, id, source, type)
             values (50000000, 'standard', 'orders', gen_random_uuid(), '/', 'a')",
        )
        .await?;
    // THEN that is said
    let line = relay.logs("EVENTS-ABOVE-THE-SEQUENCE", LIMIT).await?;
    assert!(
        line.contains("50000000") && line.contains("log_standard"),
        "{line}"
    );
    // AND it goes out when the sequence comes to it before anything else does
    connection
        .execute("select setval('outbox.log_position', 50000000)")
        .await?;
    assert_eq!(arrived(&mut redis, "outbox:orders", 2).await?.len(), 2);
    append(&mut connection, "orders", 3).await?;
    let found = arrived(&mut redis, "outbox:orders", 3).await?;
    let positions: Vec<u64> = found.iter().map(|entry| entry.id.1).collect();
    assert_eq!(positions[1..], [50_000_000, 50_000_001]);
    Ok(())
}

/// Data that is not JSON, extensions that are none, and times that cannot be written: the columns take all of it, and no function of
/// the outbox does.
const BROKEN: &str =
    "insert into outbox.log (retention, topic, id, source, type, data_content_type, data, extensions)
     values ('standard', 'orders', gen_random_uuid(), '/', 'no.json', 'application/json', 'not json', null),
            ('standard', 'orders', gen_random_uuid(), '/', 'no.extensions', null, null, '[1]');
     insert into outbox.log (retention, topic, id, source, type, time)
     values ('standard', 'orders', gen_random_uuid(), '/', 'no.time', 'infinity'),
            ('standard', 'orders', gen_random_uuid(), '/', 'no.year', '0044-03-15 12:00 BC')";

async fn skip(connection: &mut PgConnection, why: &str) -> Result {
    let said = action(connection, "orders", "set_aside").await?;
    assert!(said.contains(why), "{said}");
    connection
        .execute("select outbox.skip_event('orders', (select event_id from outbox_ops.topics where topic = 'orders'), 'test')")
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_row_that_is_no_event_sets_its_topic_aside_however_it_is_read() -> Result {
    for (mode, behind) in [
        ("structured", 0),
        ("structured", 3_000),
        ("binary", 0),
        ("binary", 3_000),
    ] {
        // GIVEN rows that are no events, behind one that is and before others, and a relay that cuts a few or is far behind
        let world = World::new().await?;
        let mut connection = world.connect().await?;
        let relay = Relay::of(&world).set("OUTBOX_PUBLISH_MODE", mode);
        let mut started = match behind {
            0 => {
                let mut started = relay.start()?;
                started.leads().await?;
                Some(started)
            }
            _ => None,
        };
        append(&mut connection, "orders", 1).await?;
        connection.execute(BROKEN).await?;
        append(&mut connection, "orders", 2).await?;
        sqlx::query("select outbox.append('parcels', '{}') from generate_series(0, $1)")
            .bind(behind)
            .execute(&mut connection)
            .await?;
        // WHEN a relay comes to them
        let _relay = match started.take() {
            Some(started) => started,
            None => relay.start()?,
        };
        // THEN other topics go on, theirs waits for a person at each, and says why
        let mut redis = world.redis().await?;
        holds(&mut redis, "outbox:parcels", behind + 1).await?;
        skip(&mut connection, "its data is not JSON").await?;
        skip(&mut connection, "its extensions are no JSON object").await?;
        skip(&mut connection, "its time is in no year of 1 to 9999").await?;
        skip(&mut connection, "its time is in no year of 1 to 9999").await?;
        // AND what is behind them follows
        holds(&mut redis, "outbox:orders", 2).await?;
        if mode == "structured" {
            let found = arrived(&mut redis, "outbox:orders", 2).await?;
            assert_eq!(found[1].previous_id, Some(found[0].id));
        }
    }
    Ok(())
}

/// Waits until a stream has so many entries, whatever their mode.
async fn holds(redis: &mut MultiplexedConnection, stream: &str, entries: i64) -> Result {
    until(&format!("{stream} has {entries} entries"), LIMIT, async || {
        let length: i64 = redis::cmd("XLEN").arg(stream).query_async(&mut *redis).await?;
        Ok((length == entries).then_some(()))
    })
    .await
}

async fn said(connection: &mut PgConnection, statement: &'static str) -> Result<String> {
    match connection.execute(statement).await {
        Err(sqlx::Error::Database(error)) => Ok(format!(
            "{} {}",
            error.code().unwrap_or_default(),
            error.message()
        )),
        other => Err(Failure::new(format!("{statement}: {other:?}"))),
    }
}

const ONE: &str = "select outbox.append('orders', '{}')";
const ONE_WITH_SUBJECT: &str = "select outbox.append('orders', '{}', subject => 's')";
const BY_VIEW: &str = "insert into outbox.outgoing (topic, data) values ('orders', '{}')";
const MANY: &str = "select outbox.append_batch(array[gen_random_uuid()], array['orders'], array[null], array[null], array['/shop'], array[null],
     array[null::timestamptz], array[null], array[null], array[null], array[null], array[null], array[null], array[null], array[null],
     array[to_json(repeat('x', 300000))::text], array[null::bytea])";

#[tokio::test]
async fn the_settings_keep_their_row_and_nothing_is_appended_without_it() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    for statement in ["delete from outbox.settings", "truncate outbox.settings"] {
        let refused = said(&mut connection, statement).await?;
        assert!(
            refused.starts_with("42501 outbox.settings keeps its one row"),
            "{refused}"
        );
    }
    // A restore may leave it out all the same.
    connection
        .execute("set session_replication_role = replica; delete from outbox.settings; set session_replication_role = origin")
        .await?;
    for statement in [ONE, ONE_WITH_SUBJECT, MANY, BY_VIEW] {
        let refused = said(&mut connection, statement).await?;
        assert!(
            refused.starts_with("55000 event refused: outbox.settings has no row"),
            "{statement}: {refused}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_trigger_that_takes_rows_away_is_named() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    connection
        .execute(
            "create function public.take_away() returns trigger language plpgsql as 'begin return null; end';
             create trigger take_away before insert on outbox.log_standard for each row execute function public.take_away();
             set statement_timeout = '60s'",
        )
        .await?;
    for statement in [ONE, ONE_WITH_SUBJECT] {
        let refused = said(&mut connection, statement).await?;
        assert!(refused.starts_with("55000 nothing was"), "{statement}: {refused}");
    }
    Ok(())
}
