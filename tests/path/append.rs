//! Appending through the library: what reaches the log, in which order, and what happens to the caller's transaction.

use std::error::Error as _;

use outbox_core::append::{self, ErrorKind, Limits, NewEvent, tokio_postgres as append_tokio};
use outbox_core::verdict::Verdict;
use serde_json::value::RawValue;
use sqlx::{Connection, Executor, PgConnection, Row};
use system_tests::{Failure, Result, World};
use time::macros::datetime;
use uuid::Uuid;

/// What a parser would change: key order, spaces, a trailing zero, digits beyond a double, a key twice, escapes.
const AWKWARD_JSON: &str =
    " {\"b\": 1.10,  \"a\":123456789012345678901234567890, \"a\": 1e400,\n\"\\u00e9\":\"\\ud83d\\ude00\\/\"}";

/// `data` as text, `data_binary`, `data_content_type`.
type Payload = (Option<String>, Option<Vec<u8>>, Option<String>);

async fn topics(connection: &mut PgConnection) -> Result<Vec<String>> {
    Ok(
        sqlx::query_scalar("select topic from outbox.log order by position")
            .fetch_all(connection)
            .await?,
    )
}

fn database_error<T>(outcome: std::result::Result<T, append::Error>) -> Result<(String, append::Error)> {
    match outcome {
        Err(error) => match &error.kind {
            ErrorKind::Database { code, .. } => Ok((code.clone(), error)),
            other => Err(Failure::new(format!("another error: {other:?}"))),
        },
        Ok(_) => Err(Failure::new("the database took it")),
    }
}

#[tokio::test]
async fn json_is_kept_byte_for_byte_by_both_drivers() -> Result {
    let world = World::new().await?;
    let (mut connection, client) = (world.connect().await?, world.log().client().await?);
    let raw = RawValue::from_string(AWKWARD_JSON.trim().to_owned())?;
    append::append(&mut connection, NewEvent::new("a").json_text(AWKWARD_JSON)).await?;
    append::append(&mut connection, NewEvent::new("a").raw_json(raw)).await?;
    append_tokio::append(&client, NewEvent::new("a").json_text(AWKWARD_JSON)).await?;
    let kept: Vec<(String, Option<String>)> =
        sqlx::query_as("select data::text, data_content_type from outbox.log order by position")
            .fetch_all(&mut connection)
            .await?;
    let json = Some("application/json".to_owned());
    assert_eq!(
        kept,
        [
            (AWKWARD_JSON.to_owned(), json.clone()),
            (AWKWARD_JSON.trim().to_owned(), json.clone()),
            (AWKWARD_JSON.to_owned(), json),
        ]
    );
    Ok(())
}

#[tokio::test]
async fn bytes_and_nothing_are_kept_too() -> Result {
    let world = World::new().await?;
    let (mut connection, client) = (world.connect().await?, world.log().client().await?);
    let bytes: Vec<u8> = (0..=255).collect();
    let picture = || NewEvent::new("a").binary(bytes.clone(), "image/png");
    append::append(&mut connection, picture()).await?;
    append_tokio::append(&client, picture()).await?;
    append_tokio::append(&client, NewEvent::new("a")).await?;
    let kept: Vec<Payload> =
        sqlx::query_as("select data::text, data_binary, data_content_type from outbox.log order by position")
            .fetch_all(&mut connection)
            .await?;
    let expected = (None, Some(bytes.clone()), Some("image/png".to_owned()));
    assert_eq!(kept, [expected.clone(), expected, (None, None, None)]);
    Ok(())
}

#[tokio::test]
async fn every_attribute_reaches_its_column() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let id = Uuid::from_u128(7);
    let event = NewEvent::new("orders")
        .id(id)
        .key("k")
        .event_type("orders.placed")
        .source("/shop")
        .subject("order/7")
        .time(datetime!(2026-11-21 04:00:00.123456 UTC))
        .data_schema("https://shop/1")
        .schema_version("1")
        .correlation_id("c")
        .causation_id("p")
        .traceparent("00-a")
        .tracestate("v=1")
        .extension("zone", "é \"q\"")
        .extension("attempt", 3)
        .extension("test", true)
        .json(&[1, 2]);
    assert_eq!(append::append(&mut connection, event).await?, id);
    let row = sqlx::query(
        "select concat_ws(' ', topic, key, id, type, source, subject, to_char(time at time zone 'utc', 'HH24:MI:SS.US'), \
         data_content_type, data_schema, schema_version, correlation_id, causation_id, traceparent, tracestate, extensions, \
         data, retention) from outbox.log",
    )
    .fetch_one(&mut connection)
    .await?;
    assert_eq!(
        row.try_get::<String, _>(0)?,
        "orders k 00000000-0000-0000-0000-000000000007 orders.placed /shop order/7 04:00:00.123456 application/json \
         https://shop/1 1 c p 00-a v=1 {\"attempt\":3,\"test\":true,\"zone\":\"é \\\"q\\\"\"} [1,2] standard"
    );
    Ok(())
}

#[tokio::test]
async fn type_source_and_id_have_defaults() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    connection
        .execute("update outbox.settings set source = '/from/settings'")
        .await?;
    let id = append::append(&mut connection, NewEvent::new("orders.placed")).await?;
    assert_eq!(id.get_version_num(), 7);
    let kept: (Uuid, String, String) = sqlx::query_as("select id, type, source from outbox.log")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(
        kept,
        (id, "orders.placed".to_owned(), "/from/settings".to_owned())
    );
    Ok(())
}

#[tokio::test]
async fn positions_follow_the_order_of_the_call() -> Result {
    let world = World::new().await?;
    let (mut connection, client) = (world.connect().await?, world.log().client().await?);
    connection
        .execute("insert into outbox.topic (name, retention) values ('t3', 'audit'), ('t5', 'durable')")
        .await?;
    let events = || -> Vec<NewEvent> {
        (0..500)
            .map(|n| NewEvent::new(format!("t{}", n % 7)).key(n.to_string()))
            .collect()
    };
    let mut ids = append::append_many(&mut connection, events()).await?;
    ids.extend(append_tokio::append_many(&client, events()).await?);
    let kept: Vec<Uuid> = sqlx::query_scalar("select id from outbox.log order by position")
        .fetch_all(&mut connection)
        .await?;
    assert_eq!(kept, ids);
    let keys: Vec<String> = sqlx::query_scalar("select key from outbox.log order by position limit 500")
        .fetch_all(&mut connection)
        .await?;
    assert_eq!(keys, (0..500).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(append::append_many(&mut connection, Vec::new()).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn an_event_shares_the_fate_of_its_transaction_and_savepoint() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let mut transaction = connection.begin().await?;
    append::append(&mut transaction, NewEvent::new("kept")).await?;
    let mut savepoint = transaction.begin().await?;
    append::append(&mut savepoint, NewEvent::new("undone")).await?;
    savepoint.rollback().await?;
    transaction.commit().await?;
    let mut transaction = connection.begin().await?;
    append::append(&mut transaction, NewEvent::new("undone")).await?;
    transaction.rollback().await?;
    let mut client = world.log().client().await?;
    let transaction = client.transaction().await?;
    append_tokio::append(&transaction, NewEvent::new("undone")).await?;
    transaction.rollback().await?;
    assert_eq!(topics(&mut connection).await?, ["kept"]);
    Ok(())
}

#[tokio::test]
async fn a_refusal_leaves_the_transaction_usable() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let mut client = world.log().client().await?;
    let refused = [
        || NewEvent::new("no name"),
        || NewEvent::new("a").json_text("{"),
        || NewEvent::new("a").key("x\0y"),
        || NewEvent::new("a").json_text(format!("\"{}\"", "x".repeat(256 * 1024))),
    ];
    let mut transaction = connection.begin().await?;
    let other = client.transaction().await?;
    for event in refused {
        for outcome in [
            append::append(&mut transaction, event()).await,
            append_tokio::append(&other, event()).await,
        ] {
            let error = outcome.err().ok_or_else(|| Failure::new("appended"))?;
            assert!(matches!(error.kind, ErrorKind::Refused(_)), "{error}");
            assert_eq!(error.verdict(), Verdict::Park);
        }
    }
    append::append(&mut transaction, NewEvent::new("a")).await?;
    transaction.commit().await?;
    append_tokio::append(&other, NewEvent::new("b")).await?;
    other.commit().await?;
    assert_eq!(topics(&mut connection).await?, ["a", "b"]);
    Ok(())
}

#[tokio::test]
async fn the_same_id_twice_is_refused_where_it_can_be_seen() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let id = Uuid::now_v7();
    // In one call: before anything is sent.
    let twice = vec![NewEvent::new("a").id(id), NewEvent::new("b").id(id)];
    let error = append::append_many(&mut connection, twice)
        .await
        .err()
        .ok_or_else(|| Failure::new("appended"))?;
    assert!(error.to_string().contains(&id.to_string()), "{error}");
    // In one piece of the log: by its unique index.
    append::append(&mut connection, NewEvent::new("a").id(id)).await?;
    let (code, error) = database_error(append::append(&mut connection, NewEvent::new("b").id(id)).await)?;
    assert_eq!((code.as_str(), error.verdict()), ("23505", Verdict::Park));
    assert!(
        error.source().is_none(),
        "a detail of the database could quote the row"
    );
    // Another source makes another event of it; in another retention class it is not noticed.
    append::append(&mut connection, NewEvent::new("c").id(id).source("/other")).await?;
    connection
        .execute("insert into outbox.topic (name, retention) values ('d', 'audit')")
        .await?;
    append::append(&mut connection, NewEvent::new("d").id(id)).await?;
    assert_eq!(topics(&mut connection).await?, ["a", "c", "d"]);
    Ok(())
}

#[tokio::test]
async fn limits_are_the_callers_and_the_databases() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let large = || vec![NewEvent::new("a").binary(vec![0; 300 * 1024], "x/y")];
    let wide = Limits {
        payload_bytes_max: 1024 * 1024,
        ..Limits::default()
    };
    assert!(append::append_many(&mut connection, large()).await.is_err());
    let (code, error) = database_error(append::append_many_within(&mut connection, large(), &wide).await)?;
    assert_eq!((code.as_str(), error.verdict()), ("22023", Verdict::Park));
    assert!(
        error.to_string().contains("data: must be at most 262144 bytes"),
        "{error}"
    );
    connection
        .execute("update outbox.settings set payload_limit_bytes = 1048576")
        .await?;
    append::append_many_within(&mut connection, large(), &wide).await?;
    let few = Limits {
        events_max: 2,
        ..Limits::default()
    };
    let many = (0..3).map(|_| NewEvent::new("a")).collect();
    let client = world.log().client().await?;
    let error = append_tokio::append_many_within(&client, many, &few)
        .await
        .err()
        .ok_or_else(|| Failure::new("appended"))?;
    assert!(
        error
            .to_string()
            .contains("events: must be at most 2 in one call, got 3"),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn a_producer_can_append_and_nothing_else() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    connection.execute("set role outbox_producer").await?;
    append::append(&mut connection, NewEvent::new("a")).await?;
    for forbidden in [
        "insert into outbox.log (position, transaction_id, retention, topic, id, source, type) \
         values (1, '3', 'standard', 'a', gen_random_uuid(), '/x', 'a')",
        "insert into outbox.log (retention, topic, id, source, type) values ('standard', 'a', gen_random_uuid(), '/x', 'a')",
        "update outbox.log set transaction_id = '3'",
        "delete from outbox.log",
        // Drawing one is what an append does, too; it leaves a gap and nothing else.
        "select setval('outbox.log_position', 1)",
        "update outbox.settings set payload_limit_bytes = 1",
        "insert into outbox.batch select * from outbox.batch",
        "select outbox.skip_event('a', gen_random_uuid(), 'x')",
    ] {
        let error = connection
            .execute(forbidden)
            .await
            .err()
            .ok_or_else(|| Failure::new(forbidden))?;
        let code = error
            .as_database_error()
            .and_then(|refused| refused.code().map(|code| code.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{forbidden}: {error}");
    }
    Ok(())
}

#[tokio::test]
async fn without_the_right_or_the_connection_the_error_says_what_to_do() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    connection.execute("set role outbox_observer").await?;
    let (code, error) = database_error(append::append(&mut connection, NewEvent::new("a")).await)?;
    assert_eq!((code.as_str(), error.verdict()), ("42501", Verdict::Stop));
    assert!(error.advice().contains("outbox_producer"));
    let lost = world.log().client().await?;
    let own: i32 = lost.query_one("select pg_backend_pid()", &[]).await?.try_get(0)?;
    connection.execute("reset role").await?;
    sqlx::query("select pg_terminate_backend($1, 10000)")
        .bind(own)
        .execute(&mut connection)
        .await?;
    let error = append_tokio::append(&lost, NewEvent::new("a"))
        .await
        .err()
        .ok_or_else(|| Failure::new("appended"))?;
    assert_eq!(error.verdict(), Verdict::Retry, "{error}");
    Ok(())
}
