//! One event for one stream goes a way of its own, if it is as most are: it says where the event is, or nothing and appends nothing. And a
//! page of one stream is read without the server sorting it.

use outbox_core::append::NewEvent;
use outbox_core::event_store::append::tokio_postgres as other_driver;
use outbox_core::event_store::{self, Expected, Outcome, StreamName, StreamRead};
use sqlx::{Connection as _, Executor as _, PgConnection};
use system_tests::{Result, World};
use uuid::Uuid;

/// Attributes that few events have, in the order of the function: schema version, correlation, causation, trace parent and state.
type Attributes<'a> = [Option<&'a str>; 5];

const NONE: Attributes<'static> = [None; 5];

/// An append by the short way: stream, version expected, id, topic, type, and the payload.
struct Short<'a> {
    stream: &'a str,
    expected: Option<i64>,
    id: Uuid,
    topic: Option<&'a str>,
    r#type: &'a str,
    attributes: Attributes<'a>,
    data: Option<&'a str>,
}

impl Short<'_> {
    fn at(stream: &str, expected: i64) -> Short<'_> {
        Short {
            stream,
            expected: Some(expected),
            id: Uuid::now_v7(),
            topic: None,
            r#type: "placed",
            attributes: NONE,
            data: Some(r#"{ "b": 1, "a": 2.50 }"#),
        }
    }

    async fn append(&self, connection: &mut PgConnection) -> Result<Option<Vec<i64>>> {
        let [schema_version, correlation, causation, parent, state] = self.attributes;
        let place = sqlx::query_scalar(
            "select outbox.append_stored($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text::json)",
        )
        .bind(self.stream)
        .bind(self.expected)
        .bind(self.id)
        .bind(self.topic)
        .bind(self.r#type)
        .bind(schema_version)
        .bind(correlation)
        .bind(causation)
        .bind(parent)
        .bind(state)
        .bind(self.data);
        Ok(place.fetch_one(connection).await?)
    }
}

/// A stream `a-1` with two events, whose ids are returned; the first is in the archive.
async fn a_stream_with_an_archived_event(connection: &mut PgConnection) -> Result<(Uuid, Uuid)> {
    let (first, second) = (Short::at("a-1", 0), Short::at("a-1", 1));
    connection
        .execute("insert into outbox.category (name) values ('a')")
        .await?;
    for short in [&first, &second] {
        assert!(short.append(connection).await?.is_some(), "as most are");
    }
    connection
        .execute("select outbox.archive_stream('a-1', 1, 'a test')")
        .await?;
    Ok((first.id, second.id))
}

#[tokio::test]
async fn an_event_as_most_are_is_appended_as_the_general_way_appends_it() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    connection
        .execute("insert into outbox.route values ('order', '', 'orders'), ('order', 'noted', null), ('order', 'paid', 'payments')")
        .await?;
    // GIVEN the same event by both ways
    for (number, (r#type, topic)) in [
        ("placed", None),
        ("paid", None),
        ("noted", None),
        ("paid", Some("else")),
        ("paid", Some("")),
    ]
    .into_iter()
    .enumerate()
    {
        let attributes = [Some("2"), Some("c"), Some("d"), Some("00-01"), Some("s")];
        for attributes in [NONE, attributes] {
            for data in [None, Some(r#"{ "b": 1, "a": 2.50 }"#)] {
                let (name, beside) = (
                    format!("order-{}", Uuid::now_v7()),
                    format!("order-{}", Uuid::now_v7()),
                );
                let ids = [Uuid::now_v7(), Uuid::now_v7()];
                let general = |n: usize, stream: &str, expected: i64| {
                    sqlx::query_scalar::<_, Vec<i64>>(
                        "select positions from outbox.append_many(array[$1::text], array[$2::bigint], '{1}', array[$3::uuid], array[$4::text], array[$5::text],
                         '{null}', '{null}', '{null}', '{null}', '{null}', array[$6::text], array[$7::text], array[$8::text], array[$9::text], array[$10::text], '{null}',
                         array[$11::text], '{null}', '{null}')",
                    )
                    .bind(stream.to_owned())
                    .bind(expected)
                    .bind(ids[n])
                    .bind(topic)
                    .bind(r#type)
                    .bind(attributes[0])
                    .bind(attributes[1])
                    .bind(attributes[2])
                    .bind(attributes[3])
                    .bind(attributes[4])
                    .bind(data)
                };
                general(0, &name, 0).fetch_one(&mut connection).await?;
                general(1, &beside, 0).fetch_one(&mut connection).await?;
                let short = Short {
                    topic,
                    r#type,
                    attributes,
                    data,
                    ..Short::at(&name, 1)
                };
                let place = short.append(&mut connection).await?.expect("as most are");
                // THEN the rows differ in nothing but what is of each row
                let rows: Vec<String> = sqlx::query_scalar(
                    "select replace((to_jsonb(l) - '{position,transaction_id,recorded_at,id,stream,version}'::text[])::text, s.name, 'its name')
                     from outbox.log l join outbox.stream s on s.id = l.stream where l.id = any($1)",
                )
                .bind(vec![short.id, ids[1]])
                .fetch_all(&mut connection)
                .await?;
                assert_eq!(rows.len(), 2, "case {number}");
                assert_eq!(rows[0], rows[1], "case {number}");
                let stored: (i64, i64) =
                    sqlx::query_as("select version, position from outbox.log where id = $1")
                        .bind(short.id)
                        .fetch_one(&mut connection)
                        .await?;
                assert_eq!(place, [stored.0, stored.1]);
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_must_be_decided_is_left_to_the_general_way() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let (archived, stored) = a_stream_with_an_archived_event(&mut connection).await?;
    let (many, long) = ("x".repeat(300_000), "x".repeat(2_049));
    let (large, long_name) = (format!("\"{many}\""), format!("a-{}", "x".repeat(400)));
    connection
        .execute("select outbox.append_to_stream('a-2', 0, '[{\"type\": \"x\"}, {\"type\": \"y\"}]'); select outbox.tombstone_stream('a-2', 'a test', 1)")
        .await?;
    connection
        .execute("select outbox.append_to_stream('a-3', 0, '[{\"type\": \"x\"}, {\"type\": \"y\"}]'); select outbox.truncate_stream('a-3', 3, 'a test')")
        .await?;
    let positions: i64 = sqlx::query_scalar("select last_value from outbox.log_position")
        .fetch_one(&mut connection)
        .await?;
    let short = Short::at;
    for (what, case) in [
        ("a stream that is there", short("a-1", 0)),
        ("a version before", short("a-1", 1)),
        ("a version behind", short("a-1", 3)),
        ("whatever has events", short("a-1", -1)),
        ("a stream that is not there", short("a-9", 1)),
        ("a category that is not there", short("b-1", 0)),
        ("a name with a space", short("a-1 2", 0)),
        ("a name that is too long", short(&long_name, 0)),
        ("a stream that is buried", short("a-2", 0)),
        ("a stream that is buried and has an event", short("a-2", 2)),
        ("a stream of which nothing is left", short("a-3", 0)),
        (
            "a stream of which nothing is left, at its version",
            short("a-3", 2),
        ),
        (
            "an id that is stored",
            Short {
                id: stored,
                ..short("a-1", 2)
            },
        ),
        (
            "an id that is in the archive",
            Short {
                id: archived,
                ..short("a-1", 2)
            },
        ),
        (
            "a type that is no name",
            Short {
                r#type: "no name",
                ..short("a-1", 2)
            },
        ),
        (
            "a type that is too long",
            Short {
                r#type: &long,
                ..short("a-1", 2)
            },
        ),
        (
            "a topic that is no name",
            Short {
                topic: Some("no name"),
                ..short("a-1", 2)
            },
        ),
        (
            "an attribute that is empty",
            Short {
                attributes: [None, None, Some(""), None, None],
                ..short("a-1", 2)
            },
        ),
        (
            "an attribute that is too long",
            Short {
                attributes: [Some(&long), None, None, None, None],
                ..short("a-1", 2)
            },
        ),
        (
            "too large a payload",
            Short {
                data: Some(&large),
                ..short("a-1", 2)
            },
        ),
    ] {
        let place = case.append(&mut connection).await?;
        assert_eq!(place, None, "{what}");
    }
    let mut transaction = connection
        .begin_with("begin isolation level repeatable read")
        .await?;
    assert_eq!(
        short("a-1", 2).append(&mut transaction).await?,
        None,
        "under one snapshot"
    );
    transaction.rollback().await?;
    // THEN no position was drawn for any of them
    let after: i64 = sqlx::query_scalar("select last_value from outbox.log_position")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(after, positions);
    assert!(
        short("a-1", 2).append(&mut connection).await?.is_some(),
        "as most are"
    );
    Ok(())
}

#[tokio::test]
async fn whoever_waited_for_the_stream_sees_what_was_appended_meanwhile() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let stream = StreamName::new("a", 1)?;
    let event = || vec![NewEvent::stored("placed")];
    assert!(matches!(
        event_store::append(&mut connection, &stream, Expected::NoStream, event()).await?,
        Outcome::Appended { version: 1, .. }
    ));
    let mut other = world.connect().await?;
    // GIVEN an append that is not committed yet, and another one at the same version that waits for it
    let mut first = connection.begin().await?;
    assert!(matches!(
        event_store::append(&mut first, &stream, Expected::Version(1), event()).await?,
        Outcome::Appended { version: 2, .. }
    ));
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut other)
        .await?;
    let waiting = {
        let stream = stream.clone();
        tokio::spawn(
            async move { event_store::append(&mut other, &stream, Expected::Version(1), event()).await },
        )
    };
    let mut watcher = world.connect().await?;
    system_tests::patience::until("it waits", std::time::Duration::from_secs(120), async || {
        let is_waiting: bool =
            sqlx::query_scalar("select exists (select from pg_locks where pid = $1 and not granted)")
                .bind(pid)
                .fetch_one(&mut watcher)
                .await?;
        Ok(is_waiting.then_some(()))
    })
    .await?;
    // WHEN the first commits THEN the other one has a conflict, at the version that was committed
    first.commit().await?;
    assert_eq!(waiting.await??, Outcome::Conflict { actual: 2 });
    Ok(())
}

#[tokio::test]
async fn both_drivers_send_it() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    // GIVEN a database in which nothing else is allowed to append
    let stream = StreamName::new("a", 1)?;
    let event = || NewEvent::stored("placed").json_text(r#"{ "b": 1 }"#);
    assert!(matches!(
        event_store::append(&mut connection, &stream, Expected::Any, vec![event()]).await?,
        Outcome::Appended { version: 1, .. }
    ));
    connection
        .execute("alter function outbox.append_to_streams rename to not_now")
        .await?;
    let again = event();
    let short = event_store::append(&mut connection, &stream, Expected::Version(1), vec![again]).await?;
    assert!(matches!(short, Outcome::Appended { version: 2, .. }), "{short:?}");
    let client = world.log().client().await?;
    let short = other_driver::append(&client, &stream, Expected::Any, vec![event().private()]).await?;
    assert!(matches!(short, Outcome::Appended { version: 3, .. }), "{short:?}");
    Ok(())
}

/// A page comes in no order: its rows are those of two pieces, and an event that was brought back from the archive is the last of its own.
#[tokio::test]
async fn a_page_is_in_order_however_its_rows_come() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let stream = StreamName::new("a", 1)?;
    let events = (0..4).map(|_| NewEvent::stored("placed")).collect();
    assert!(matches!(
        event_store::append(&mut connection, &stream, Expected::NoStream, events).await?,
        Outcome::Appended { version: 4, .. }
    ));
    connection
        .execute(
            "select outbox.archive_stream('a-1', 2, 'a test'); select outbox.restore_stream('a-1', 'a test')",
        )
        .await?;
    // GIVEN a server that reads the rows as they lie
    connection
        .execute("set enable_indexscan = off; set enable_indexonlyscan = off; set enable_bitmapscan = off")
        .await?;
    let lying: Vec<i64> = sqlx::query_scalar("select version from outbox.log_stream")
        .fetch_all(&mut connection)
        .await?;
    assert!(!lying.is_sorted(), "{lying:?}");
    let page = event_store::read_page(&mut connection, &StreamRead::of(&stream)).await?;
    assert_eq!(
        page.iter().map(|event| event.version).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    Ok(())
}
