//! Appending to streams through the library: what is expected, what comes of it, and what is stored.

use futures_util::TryStreamExt as _;
use outbox_core::append::NewEvent;
use outbox_core::event::Data;
use outbox_core::event_store::append::tokio_postgres as other_driver;
use outbox_core::event_store::{
    self, Expected, Outcome, Outcomes, PageLimits, StreamAppend, StreamName, StreamRead,
};
use sqlx::{Connection as _, PgConnection};
use system_tests::{Result, World};
use time::macros::datetime;
use uuid::Uuid;

fn order(id: u32) -> StreamName {
    StreamName::new("order", id).expect("a good name")
}

fn events(types: &[&str]) -> Vec<NewEvent> {
    types.iter().map(|name| NewEvent::stored(*name)).collect()
}

async fn append(
    connection: &mut PgConnection,
    stream: &StreamName,
    expected: Expected,
    types: &[&str],
) -> Result<Outcome> {
    Ok(event_store::append(connection, stream, expected, events(types)).await?)
}

async fn types_of(connection: &mut PgConnection, read: StreamRead) -> Result<Vec<(u64, String)>> {
    let events: Vec<_> = event_store::read_stream(connection, read).try_collect().await?;
    Ok(events
        .into_iter()
        .map(|event| (event.version, event.event.r#type))
        .collect())
}

#[tokio::test]
async fn each_expectation_holds_or_is_a_conflict_that_leaves_the_transaction_usable() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let mut transaction = connection.begin().await?;
    let (there, absent) = (order(1), order(2));
    let Outcome::Appended { version, positions } =
        append(&mut transaction, &there, Expected::NoStream, &["placed", "paid"]).await?
    else {
        panic!("a new stream takes events")
    };
    assert_eq!((version, positions.len()), (2, 2));
    assert!(positions[0] < positions[1], "{positions:?}");
    for (stream, expected, actual) in [
        (&there, Expected::NoStream, 2),
        (&there, Expected::Version(1), 2),
        (&there, Expected::Version(3), 2),
        (&absent, Expected::Exists, 0),
        (&absent, Expected::Version(1), 0),
        (&absent, Expected::Version(u64::MAX), 0),
    ] {
        let outcome = append(&mut transaction, stream, expected, &["late"]).await?;
        assert_eq!(outcome, Outcome::Conflict { actual }, "{stream} at {expected}");
    }
    for (stream, expected, after) in [
        (&there, Expected::Any, 3),
        (&there, Expected::Exists, 4),
        (&there, Expected::Version(4), 5),
        (&absent, Expected::Version(0), 1),
    ] {
        match append(&mut transaction, stream, expected, &["next"]).await? {
            Outcome::Appended { version, .. } => assert_eq!(version, after, "{stream} at {expected}"),
            other => panic!("{stream} at {expected}: {other:?}"),
        }
    }
    transaction.commit().await?;
    let kept: Vec<u64> = types_of(&mut connection, StreamRead::of(&there))
        .await?
        .into_iter()
        .map(|(version, _)| version)
        .collect();
    assert_eq!(kept, [1, 2, 3, 4, 5]);
    assert_eq!(event_store::stream_version(&mut connection, &there).await?, 5);
    assert_eq!(event_store::stream_version(&mut connection, &order(3)).await?, 0);
    Ok(())
}

#[tokio::test]
async fn the_same_events_again_are_told_as_they_were_appended() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let stream = order(1);
    let (first, second, third) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
    let two = || {
        vec![
            NewEvent::stored("placed").id(first),
            NewEvent::stored("paid").id(second),
        ]
    };
    let Outcome::Appended { version, positions } =
        event_store::append(&mut connection, &stream, Expected::NoStream, two()).await?
    else {
        panic!("a new stream takes events")
    };
    let sent = append(&mut connection, &stream, Expected::Version(2), &["sent"]).await?;
    assert!(matches!(sent, Outcome::Appended { version: 3, .. }), "{sent:?}");
    // Whatever is expected of the stream meanwhile.
    for expected in [
        Expected::NoStream,
        Expected::Any,
        Expected::Version(3),
        Expected::Exists,
    ] {
        let again = event_store::append(&mut connection, &stream, expected, two()).await?;
        let was = Outcome::AlreadyAppended {
            version,
            positions: positions.clone(),
        };
        assert_eq!(again, was, "expected {expected}");
    }
    let found = event_store::find_appended(&mut connection, &stream, &[third, second]).await?;
    assert_eq!(found, [(second, 2, positions[1])]);
    // A part of them, and the same ids elsewhere, are a mistake and not a repetition.
    let part = vec![
        NewEvent::stored("paid").id(second),
        NewEvent::stored("else").id(third),
    ];
    let error = event_store::append(&mut connection, &stream, Expected::Any, part)
        .await
        .expect_err("one is there, the other is not");
    assert!(
        error.to_string().contains("1 of these 2 events already"),
        "{error}"
    );
    let error = event_store::append(&mut connection, &order(2), Expected::Any, two())
        .await
        .expect_err("they are in another stream");
    assert_eq!(error.verdict(), outbox_core::verdict::Verdict::Park, "{error}");
    assert_eq!(event_store::stream_version(&mut connection, &stream).await?, 3);
    assert_eq!(event_store::stream_version(&mut connection, &order(2)).await?, 0);
    Ok(())
}

#[tokio::test]
async fn several_streams_get_all_of_a_call_or_nothing() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let call = |expected| {
        let one = |id, expected, types: &[&str]| StreamAppend {
            stream: order(id),
            expected,
            events: events(types),
        };
        vec![
            one(9, Expected::NoStream, &["a", "b"]),
            one(1, expected, &["c"]),
            one(5, Expected::Any, &[]),
        ]
    };
    let Outcomes::Conflict(conflicts) =
        event_store::append_streams(&mut connection, call(Expected::Version(3))).await?
    else {
        panic!("order-1 is not at version 3")
    };
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    assert_eq!(
        (conflicts[0].stream.as_str(), conflicts[0].actual),
        ("order-1", 0)
    );
    let stored: i64 = sqlx::query_scalar("select count(*) from outbox.stored_event")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(stored, 0);
    let Outcomes::Appended(appended) =
        event_store::append_streams(&mut connection, call(Expected::NoStream)).await?
    else {
        panic!("all three are where they are expected")
    };
    let versions: Vec<u64> = appended.iter().map(|one| one.version).collect();
    assert_eq!(versions, [2, 1, 0]);
    Ok(())
}

/// Also when a stream that the call only looked at has moved on: what was committed was committed.
#[tokio::test]
async fn a_call_that_guards_another_stream_is_told_as_it_was_appended() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let call = |id| {
        vec![
            StreamAppend {
                stream: order(1),
                expected: Expected::NoStream,
                events: vec![NewEvent::stored("placed").id(Uuid::from_u128(id))],
            },
            StreamAppend {
                stream: order(2),
                expected: Expected::Version(1),
                events: vec![],
            },
        ]
    };
    let first = append(&mut connection, &order(2), Expected::NoStream, &["guarded"]).await?;
    assert!(matches!(first, Outcome::Appended { .. }), "{first:?}");
    let Outcomes::Appended(_) = event_store::append_streams(&mut connection, call(1)).await? else {
        panic!("both are where they are expected")
    };
    let moved = append(&mut connection, &order(2), Expected::Version(1), &["moved"]).await?;
    assert!(matches!(moved, Outcome::Appended { .. }), "{moved:?}");
    let Outcomes::AlreadyAppended(again) = event_store::append_streams(&mut connection, call(1)).await?
    else {
        panic!("it was committed before the other stream moved")
    };
    assert_eq!(again[0].version, 1);
    let Outcomes::Conflict(conflicts) = event_store::append_streams(&mut connection, call(2)).await? else {
        panic!("another call is too late")
    };
    assert_eq!(conflicts.len(), 2);
    Ok(())
}

#[tokio::test]
async fn what_is_stored_is_read_as_it_was_appended_in_both_directions_and_to_a_time() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let stream = order(7);
    let json = r#"{"b": 1.10,  "a":123456789012345678901234567890}"#;
    let placed = NewEvent::stored("order.placed")
        .publish_to("orders")
        .json_text(json)
        .subject("7")
        .schema_version("2")
        .correlation_id("c")
        .causation_id("d")
        .time(datetime!(2026-01-02 03:04:05 UTC))
        .extension("tenant", "t1")
        .tag("customer:1")
        .tag("product:2");
    let picture = NewEvent::stored("order.photographed")
        .private()
        .binary(vec![0, 255], "image/png");
    let both = vec![placed, picture];
    let stored = event_store::append(&mut connection, &stream, Expected::NoStream, both).await?;
    assert!(
        matches!(stored, Outcome::Appended { version: 2, .. }),
        "{stored:?}"
    );
    let then = event_store::read_page(&mut connection, &StreamRead::of(&stream)).await?;
    assert_eq!(then.len(), 2);
    let first = &then[0];
    assert_eq!(
        first.event.data.as_ref().map(Data::as_bytes),
        Some(json.as_bytes())
    );
    assert_eq!(first.topic.as_deref(), Some("orders"));
    assert_eq!(first.tags, ["customer:1", "product:2"]);
    assert_eq!(first.event.key.as_deref(), Some("order-7"));
    assert_eq!(first.event.schema_version.as_deref(), Some("2"));
    assert_eq!(first.event.time, Some(datetime!(2026-01-02 03:04:05 UTC)));
    assert_eq!(first.event.extensions.len(), 1);
    assert_eq!(then[1].topic, None);
    assert_eq!(then[1].event.data, Some(Data::Binary(vec![0, 255])));
    let seen = then[1].recorded_at;
    let more = append(&mut connection, &stream, Expected::Version(2), &["x", "y", "z"]).await?;
    assert!(matches!(more, Outcome::Appended { version: 5, .. }), "{more:?}");

    let numbered = |types: &[&str], from: u64| -> Vec<(u64, String)> {
        types
            .iter()
            .enumerate()
            .map(|(n, name)| (from + n as u64, (*name).to_owned()))
            .collect()
    };
    let one_at_a_time = PageLimits {
        events_max: 1,
        ..PageLimits::default()
    };
    let all = types_of(&mut connection, StreamRead::of(&stream).limits(one_at_a_time)).await?;
    assert_eq!(
        all,
        numbered(&["order.placed", "order.photographed", "x", "y", "z"], 1)
    );
    let mut back = types_of(
        &mut connection,
        StreamRead::of(&stream).backward().from_version(4),
    )
    .await?;
    back.reverse();
    assert_eq!(back, all[..4]);
    let later = types_of(&mut connection, StreamRead::of(&stream).from_version(3)).await?;
    assert_eq!(later, numbered(&["x", "y", "z"], 3));
    let was = types_of(&mut connection, StreamRead::of(&stream).until(seen)).await?;
    assert_eq!(was, all[..2]);
    let back_then = StreamRead::of(&stream)
        .until(seen)
        .backward()
        .limits(one_at_a_time);
    let mut was = types_of(&mut connection, back_then).await?;
    was.reverse();
    assert_eq!(was, all[..2]);
    assert!(
        types_of(&mut connection, StreamRead::of(&stream).from_version(u64::MAX))
            .await?
            .is_empty()
    );
    // A page is bounded in bytes too, and has one event however large that is.
    let bytes = PageLimits {
        bytes_max: 1_100,
        ..PageLimits::default()
    };
    let page = event_store::read_page(&mut connection, &StreamRead::of(&stream).limits(bytes)).await?;
    assert_eq!(
        page.len(),
        3,
        "three times 512 bytes and little else begin within 1,100"
    );
    let tiny = PageLimits {
        bytes_max: 1,
        ..PageLimits::default()
    };
    let page = event_store::read_page(&mut connection, &StreamRead::of(&stream).limits(tiny)).await?;
    assert_eq!(page.len(), 1);
    assert!(
        types_of(&mut connection, StreamRead::of(&order(8)))
            .await?
            .is_empty()
    );
    Ok(())
}

/// A service that speaks tokio-postgres gets the same: events as they are, conflicts as outcomes, refusals before anything is sent.
#[tokio::test]
async fn the_other_driver_appends_the_same() -> Result {
    let world = World::new().await?;
    let (mut connection, mut client) = (world.connect().await?, world.log().client().await?);
    let stream = order(1);
    let event = |id| {
        NewEvent::stored("order.placed")
            .id(Uuid::from_u128(id))
            .publish_to("orders")
            .json_text(r#"{"b": 1.10}"#)
            .tag("customer:1")
    };
    let transaction = client.transaction().await?;
    let outcome = other_driver::append(&transaction, &stream, Expected::NoStream, vec![event(1)]).await?;
    assert!(
        matches!(outcome, Outcome::Appended { version: 1, .. }),
        "{outcome:?}"
    );
    let conflict = other_driver::append(&transaction, &stream, Expected::NoStream, vec![event(2)]).await?;
    assert_eq!(conflict, Outcome::Conflict { actual: 1 });
    let again = other_driver::append(&transaction, &stream, Expected::NoStream, vec![event(1)]).await?;
    assert!(
        matches!(again, Outcome::AlreadyAppended { version: 1, .. }),
        "{again:?}"
    );
    let keyed = vec![event(3).key("k")];
    let refused = other_driver::append(&transaction, &stream, Expected::Any, keyed).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("key: must be absent")));
    transaction.commit().await?;
    let sent = event_store::append(&mut connection, &stream, Expected::Version(1), vec![event(4)]).await?;
    assert!(matches!(sent, Outcome::Appended { version: 2, .. }), "{sent:?}");
    let page = event_store::read_page(&mut connection, &StreamRead::of(&stream)).await?;
    let told: Vec<_> = page
        .iter()
        .map(|one| {
            (
                one.topic.clone(),
                one.tags.clone(),
                one.event.data.clone(),
                one.event.data_content_type.clone(),
            )
        })
        .collect();
    assert_eq!(told.len(), 2);
    assert_eq!(told[0], told[1]);
    Ok(())
}
