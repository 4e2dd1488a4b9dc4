//! The same from any language: `outbox.append_to_stream` and `outbox.read_stream`.

use sqlx::postgres::PgDatabaseError;
use sqlx::{Connection as _, PgConnection};
use system_tests::{Login, Result, World};

async fn append(
    connection: &mut PgConnection,
    expected: Option<i64>,
    events: &str,
) -> std::result::Result<i64, sqlx::Error> {
    sqlx::query_scalar("select outbox.append_to_stream('order-1', $1, $2::text::json)")
        .bind(expected)
        .bind(events)
        .fetch_one(connection)
        .await
}

fn refused(outcome: std::result::Result<i64, sqlx::Error>) -> (String, String, Option<String>) {
    let error = outcome.expect_err("refused");
    let database = error
        .as_database_error()
        .expect("an error of the database")
        .downcast_ref::<PgDatabaseError>();
    (
        database.code().to_owned(),
        database.message().to_owned(),
        database.detail().map(str::to_owned),
    )
}

#[tokio::test]
async fn the_contract_of_appending_and_reading_holds() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let id = "11111111-1111-1111-1111-111111111111";
    let two = format!(
        r#"[{{"id": "{id}", "type": "placed", "data": {{"b": 1.10, "a": 2}}, "tags": ["c:1"]}}, {{"type": "paid", "topic": "orders", "data_base64": "AP8="}}]"#
    );
    let first = format!(r#"[{{"id": "{id}", "type": "placed"}}]"#);
    assert_eq!(append(&mut connection, Some(0), &two).await?, 2);
    assert_eq!(
        append(&mut connection, Some(2), r#"[{"type": "sent"}]"#).await?,
        3
    );
    assert_eq!(append(&mut connection, None, r#"[{"type": "sent"}]"#).await?, 4);
    // The same id again returns what it returned first, whatever is expected.
    for expected in [Some(0), None, Some(4)] {
        assert_eq!(append(&mut connection, expected, &first).await?, 1);
    }
    let (code, message, detail) = refused(append(&mut connection, Some(3), r#"[{"type": "late"}]"#).await);
    assert_eq!(
        (code.as_str(), detail.as_deref()),
        ("OB409", Some("4")),
        "{message}"
    );
    let (code, _, detail) = refused(append(&mut connection, Some(0), r#"[{"type": "late"}]"#).await);
    assert_eq!((code.as_str(), detail.as_deref()), ("OB409", Some("4")));

    let rows: Vec<(i64, String, Option<String>, Option<String>)> =
        sqlx::query_as("select version, type, data::text, topic from outbox.read_stream('order-1', 0, 2)")
            .fetch_all(&mut connection)
            .await?;
    assert_eq!(
        rows,
        [
            (
                1,
                "placed".to_owned(),
                Some(r#"{"b": 1.10, "a": 2}"#.to_owned()),
                None
            ),
            (2, "paid".to_owned(), None, Some("orders".to_owned())),
        ]
    );
    let rest: Vec<i64> = sqlx::query_scalar("select version from outbox.read_stream('order-1', 2)")
        .fetch_all(&mut connection)
        .await?;
    assert_eq!(rest, [3, 4]);
    let none: Vec<i64> = sqlx::query_scalar("select version from outbox.read_stream('order-2')")
        .fetch_all(&mut connection)
        .await?;
    assert!(none.is_empty());
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_is_said_and_nothing_is_appended() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    for (events, part) in [
        ("{}", "must be a JSON array"),
        ("[1]", "one that is no object"),
        (r#"[{"type": "a", "dta": 1}]"#, "no field 'dta'"),
        (r#"[{"type": "a"}, {}]"#, "event 2: type: must be"),
        (r#"[{"type": "a", "tags": [""]}]"#, "event 1: tags: each must be"),
        (r#"[{"type": "a", "data": 1, "data_base64": "AA=="}]"#, "not both"),
        (
            r#"[{"type": "a", "id": "11111111-1111-1111-1111-111111111111"}, {"type": "a", "id": "11111111-1111-1111-1111-111111111111"}]"#,
            "comes twice",
        ),
    ] {
        let (_, message, _) = refused(append(&mut connection, None, events).await);
        assert!(message.contains(part), "{events}: {message}");
    }
    let (_, message, _) = refused(append(&mut connection, Some(-2), r#"[{"type": "a"}]"#).await);
    assert!(message.contains("expected must be"), "{message}");
    for name in ["order", "-1", "or der-1", "order-", "order-a b"] {
        for call in [
            "select outbox.append_to_stream($1, null, '[{\"type\": \"a\"}]')",
            "select count(*) from outbox.read_stream($1)",
        ] {
            let error = sqlx::query(call)
                .bind(name)
                .fetch_one(&mut connection)
                .await
                .expect_err(name);
            assert!(error.to_string().contains("stream refused"), "{error}");
        }
    }
    let left: i64 = sqlx::query_scalar("select count(*) from outbox.log")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(left, 0);
    Ok(())
}

#[tokio::test]
async fn who_may_append_may_not_read() -> Result {
    let world = World::new().await?;
    let mut producer = PgConnection::connect(&world.log().url_of(Login::Producer)).await?;
    assert_eq!(
        append(&mut producer, Some(0), r#"[{"type": "placed"}]"#).await?,
        1
    );
    for read in [
        "select count(*) from outbox.read_stream('order-1')",
        "select count(*) from outbox.stored_event",
        "select count(*) from outbox.log_stream",
    ] {
        let error = sqlx::query(read).fetch_one(&mut producer).await.expect_err(read);
        assert!(error.to_string().contains("permission denied"), "{error}");
    }
    Ok(())
}

/// One event goes a way of its own, but only if there is nothing behind it.
#[tokio::test]
async fn an_event_behind_the_first_one_is_never_passed_over() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let call = |numbers: &'static str, types: &'static str| {
        sqlx::query_scalar::<_, i64>(
            "select version from outbox.append_to_streams('{a-1}', '{null}', $1::text::integer[], '{null}', '{}', $2::text::text[], '{}', '{}', '{}', '{}', '{}', '{}', \
             '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')",
        )
        .bind(numbers)
        .bind(types)
    };
    assert_eq!(call("{1}", "{x}").fetch_one(&mut connection).await?, 1);
    assert_eq!(call("{1,1}", "{x,y}").fetch_one(&mut connection).await?, 3);
    let refused = call("{1}", "{x,y}").fetch_one(&mut connection).await;
    assert!(refused.is_err(), "an event of no stream");
    Ok(())
}
