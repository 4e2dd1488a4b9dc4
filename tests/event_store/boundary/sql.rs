//! The same from any language: `outbox.read_tagged` and `outbox.append_if`; and through tokio-postgres.

use outbox_core::event_store::boundary::tokio_postgres::append_if;
use outbox_core::event_store::boundary::{Condition, Conditional, Matching};
use outbox_core::event_store::{Expected, newest_cursor};
use sqlx::PgConnection;
use sqlx::postgres::PgDatabaseError;
use system_tests::{Login, Result, World};

use super::locks::{moved, stream};

const CONDITION: &str =
    r#"[{"tags": ["course:1"], "types": ["student.subscribed"]}, {"tags": ["student:7"]}]"#;

async fn cursor(connection: &mut PgConnection) -> Result<String> {
    Ok(
        sqlx::query_scalar("select next_cursor from outbox.read_tagged($1::text::json) where at_end")
            .bind(CONDITION)
            .fetch_one(connection)
            .await?,
    )
}

async fn subscribe(
    connection: &mut PgConnection,
    student: u32,
    expected: Option<i64>,
    condition: &str,
    cursor: Option<&str>,
) -> std::result::Result<i64, sqlx::Error> {
    let events = format!(
        r#"[{{"type": "student.subscribed", "data": {{}}, "tags": ["student:{student}", "course:1"]}}]"#
    );
    sqlx::query_scalar(
        "select outbox.append_if('subscription-' || $1, $2, $3::text::json, $4::text::json, $5)",
    )
    .bind(student.to_string())
    .bind(expected)
    .bind(events)
    .bind(condition)
    .bind(cursor)
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
async fn the_contract_of_reading_and_appending_holds() -> Result {
    let world = World::new().await?;
    let pool = world.log().pool_of(Login::Service).await?;
    let mut connection = pool.acquire().await?;
    let before = cursor(&mut connection).await?;
    assert_eq!(
        subscribe(&mut connection, 7, Some(0), CONDITION, Some(&before)).await?,
        1
    );
    let rows: Vec<String> = sqlx::query_scalar(
        "select concat_ws(' ', version, type, tags::text, at_end) from outbox.read_tagged($1::text::json, $2)",
    )
    .bind(CONDITION)
    .bind(&before)
    .fetch_all(&mut *connection)
    .await?;
    assert_eq!(rows, ["1 student.subscribed {course:1,student:7}", "t"]);

    let (code, message, detail) =
        refused(subscribe(&mut connection, 8, None, CONDITION, Some(&before)).await);
    assert_eq!(code, "OB409");
    assert!(message.contains("student.subscribed"), "{message}");
    assert_eq!(detail.as_deref(), Some("position 1, type student.subscribed"));
    let now = cursor(&mut connection).await?;
    assert_eq!(
        subscribe(&mut connection, 8, Some(0), CONDITION, Some(&now)).await?,
        1
    );
    // The version of the stream counts as well.
    let now = cursor(&mut connection).await?;
    let (code, _, detail) = refused(subscribe(&mut connection, 8, Some(0), CONDITION, Some(&now)).await);
    assert_eq!((code.as_str(), detail.as_deref()), ("OB409", Some("1")));
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_named() -> Result {
    let world = World::new().await?;
    let pool = world.log().pool_of(Login::Service).await?;
    let mut connection = pool.acquire().await?;
    let now = cursor(&mut connection).await?;
    for (condition, expected) in [
        (r#"[{"types": ["a"]}]"#, "must name a tag"),
        (r#"[{"tags": [], "types": ["a"]}]"#, "must name a tag"),
        (r#"[]"#, "1 to 64 objects"),
        (r#"{}"#, "1 to 64 objects"),
        (r#"[7]"#, "must be an object"),
        (r#"[{"tags": ["a"]}, {"tags": ["a"], "tag": "b"}]"#, "no 'tag'"),
        (r#"[{"tags": [""]}]"#, "1 to 200 bytes"),
        (r#"[{"tags": [7]}]"#, "1 to 200 bytes"),
        (r#"[{"tags": "a"}]"#, "1 to 200 bytes"),
        (r#"[{"tags": ["a"], "types": []}]"#, "or be left out"),
        (r#"[{"tags": ["a"], "types": ["b", null]}]"#, "or be left out"),
    ] {
        let (code, message, _) = refused(subscribe(&mut connection, 1, None, condition, Some(&now)).await);
        assert_eq!(code, "22023", "{condition}");
        assert!(message.contains(expected), "{condition}: {message}");
    }
    for (cursor, code) in [
        (None, "22023"),
        (Some("17"), "22023"),
        (Some(&now[..now.len() - 1]), "22023"),
    ] {
        let (actual, message, _) = refused(subscribe(&mut connection, 1, None, CONDITION, cursor).await);
        assert_eq!(actual, code, "{message}");
    }
    // Tags of an event that are no texts.
    for (tags, expected) in [
        ("null", "got a JSON null"),
        (r#""a""#, "got a JSON string"),
        (r#"{"a": 1}"#, "got a JSON object"),
    ] {
        let events = format!(r#"[{{"type": "student.subscribed", "data": {{}}, "tags": {tags}}}]"#);
        let plain =
            sqlx::query_scalar("select outbox.append_to_stream('subscription-1', null, $1::text::json)")
                .bind(&events)
                .fetch_one(&mut *connection)
                .await;
        let within = sqlx::query_scalar(
            "select outbox.append_if('subscription-1', null, $1::text::json, $2::text::json, $3)",
        )
        .bind(&events)
        .bind(CONDITION)
        .bind(&now)
        .fetch_one(&mut *connection)
        .await;
        for outcome in [plain, within] {
            let (code, message, _) = refused(outcome);
            assert_eq!(code, "22023", "{tags}: {message}");
            assert!(
                message.contains("tags") && message.contains(expected),
                "{tags}: {message}"
            );
        }
    }
    let stored: i64 = sqlx::query_scalar("select count(*) from outbox.stored_event")
        .fetch_one(&mut *connection)
        .await?;
    assert_eq!(stored, 0);
    Ok(())
}

#[tokio::test]
async fn the_other_driver_says_the_same() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let (client, driving) = tokio_postgres::connect(world.database_url(), tokio_postgres::NoTls).await?;
    let driving = tokio::spawn(driving);
    let condition = Condition::of(Matching::tag("course:1"));
    let cursor = newest_cursor(&mut connection).await?;
    let events = vec![moved(&["course:1"])];
    let first = append_if(
        &client,
        &condition,
        &cursor,
        &stream("a"),
        Expected::NoStream,
        events.clone(),
    )
    .await?;
    let again = append_if(
        &client,
        &condition,
        &cursor,
        &stream("a"),
        Expected::NoStream,
        events,
    )
    .await?;
    let (Conditional::Appended(appended), Conditional::AlreadyAppended(known)) = (&first, &again) else {
        panic!("{first:?} {again:?}")
    };
    assert_eq!(appended, known);
    let unmet = append_if(
        &client,
        &condition,
        &cursor,
        &stream("b"),
        Expected::NoStream,
        vec![moved(&["course:1"])],
    )
    .await?;
    assert!(
        matches!(&unmet, Conditional::Unmet(unseen) if unseen.position == appended[0].positions[0]),
        "{unmet:?}"
    );
    drop(client);
    driving.await??;
    Ok(())
}
