//! Streams as a file and back: all of it or a reason, and nothing twice.

use std::io::Cursor;

use outbox_core::append::NewEvent;
use outbox_core::event_store::transfer::{Exported, Imported, Topics, export_streams, import_streams};
use outbox_core::event_store::{self, Error, Expected, Outcome, StoredEvent, StreamName, StreamRead, keep};
use sqlx::{Connection as _, PgConnection};
use system_tests::{Failure, Login, Result, World};
use time::macros::datetime;

fn order(id: u32) -> StreamName {
    StreamName::new("order", id).expect("a good name")
}

async fn fill(connection: &mut PgConnection, stream: &StreamName, events: Vec<NewEvent>) -> Result {
    let outcome = event_store::append(connection, stream, Expected::Any, events).await?;
    assert!(matches!(outcome, Outcome::Appended { .. }), "{outcome:?}");
    Ok(())
}

/// Two streams with everything that an event can have, one of them longer than a batch.
async fn source() -> Result<(World, Vec<u8>)> {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let awkward = NewEvent::stored("order.placed")
        .json_text("{\"b\": 1.10,\n \"a\": 123456789012345678901234567890 }")
        .subject("tea")
        .time(datetime!(2020-02-29 12:00:00.123456 UTC))
        .source("/shop/2")
        .schema_version("3")
        .data_schema("https://example.org/order")
        .correlation_id("visit")
        .causation_id("click")
        .tag("customer:7")
        .tag("a,\"b")
        .extension("weight", 7)
        .publish_to("orders");
    let picture = NewEvent::stored("order.pictured").binary(vec![0, 10, 255], "image/png");
    let text = NewEvent::stored("order.noted")
        .json_text("\"text\"")
        .data_content_type("text/plain");
    fill(
        &mut connection,
        &order(1),
        vec![awkward, picture, text, NewEvent::stored("order.closed")],
    )
    .await?;
    for _ in 0..3 {
        let many = (0..400)
            .map(|number| NewEvent::stored("order.counted").json(&number))
            .collect();
        fill(&mut connection, &order(2), many).await?;
    }
    let _ = keep::archive_stream(&mut connection, &order(2), Some(7), "old", 10).await?;
    let mut file = Vec::new();
    let mut seen = Vec::new();
    let streams = [order(1), order(9), order(2)];
    let done = export_streams(&mut connection, &streams, &mut file, |done| {
        seen.push(done.events)
    })
    .await?;
    assert_eq!(
        done,
        Exported {
            streams: 2,
            events: 1_204,
            bytes: file.len() as u64
        }
    );
    assert!(seen.len() > 2 && seen.last() == Some(&1_204), "{seen:?}");
    assert_eq!(file.iter().filter(|byte| **byte == b'\n').count(), 1_205);
    Ok((world, file))
}

async fn import(
    connection: &mut PgConnection,
    file: &[u8],
    topics: Topics,
) -> std::result::Result<Imported, Error> {
    import_streams(connection, &mut Cursor::new(file.to_vec()), topics, |_| {}).await
}

async fn all_of(connection: &mut PgConnection, stream: &StreamName) -> Result<Vec<StoredEvent>> {
    Ok(event_store::read_page(connection, &StreamRead::of(stream)).await?)
}

/// The line of the file, and what was said.
fn refusal<T: std::fmt::Debug>(outcome: std::result::Result<T, Error>) -> Result<(u64, String)> {
    match outcome {
        Err(Error::File { line, said }) => Ok((line, said)),
        other => Err(Failure::new(format!("taken: {other:?}"))),
    }
}

#[tokio::test]
async fn what_was_exported_is_imported_once() -> Result {
    let (from, file) = source().await?;
    let into = World::new().await?;
    let pool = into.log().pool_of(Login::Service).await?;
    let mut connection = pool.acquire().await?;
    let counts = |appended| Imported {
        streams: 2,
        events: 1_204,
        appended,
    };
    assert_eq!(
        import(&mut connection, &file, Topics::Private).await?,
        counts(1_204)
    );
    assert_eq!(import(&mut connection, &file, Topics::Private).await?, counts(0));
    let mut source = from.connect().await?;
    for stream in [order(1), order(2)] {
        let (before, after) = (
            all_of(&mut source, &stream).await?,
            all_of(&mut connection, &stream).await?,
        );
        assert_eq!(before.len(), after.len());
        for (before, after) in before.iter().zip(&after) {
            let mut as_before = after.event.clone();
            as_before.recorded_at = before.event.recorded_at;
            assert_eq!(as_before, before.event, "{} {}", before.stream, before.version);
            assert_eq!((&after.tags, after.version), (&before.tags, before.version));
            assert_eq!(after.topic, None, "nothing that is imported goes out");
        }
    }
    let again = World::new().await?;
    let mut connection = again.connect().await?;
    let _ = import(&mut connection, &file, Topics::AsExported).await?;
    assert_eq!(
        all_of(&mut connection, &order(1)).await?[0].topic.as_deref(),
        Some("orders")
    );
    Ok(())
}

#[tokio::test]
async fn an_import_goes_on_where_it_ended_and_stops_at_another_event() -> Result {
    let (_from, file) = source().await?;
    let into = World::new().await?;
    let mut connection = into.connect().await?;
    // Cut off behind the first of the long stream's batches.
    let (batches, mut transaction) = (1, connection.begin().await?);
    let mut seen = 0;
    let _ = import_streams(
        &mut transaction,
        &mut Cursor::new(file.clone()),
        Topics::Private,
        |_| seen += 1,
    )
    .await?;
    transaction.rollback().await?;
    assert!(seen > batches + 2, "{seen} batches");
    let first_lines: Vec<&[u8]> = file.split_inclusive(|byte| *byte == b'\n').collect();
    let part = exported_again(&first_lines[..704]);
    assert_eq!(
        import(&mut connection, &part, Topics::Private).await?.appended,
        704
    );
    assert_eq!(
        import(&mut connection, &file, Topics::Private).await?.appended,
        500
    );

    let other = World::new().await?;
    let mut connection = other.connect().await?;
    let ours = (0..3)
        .map(|number| NewEvent::stored("order.counted").json(&number))
        .collect();
    fill(&mut connection, &order(2), ours).await?;
    let (line, said) = refusal(import(&mut connection, &file, Topics::Private).await)?;
    assert!(
        said.contains("version 1 of stream order-2 is another event"),
        "{line}: {said}"
    );
    assert_eq!(
        all_of(&mut connection, &order(2)).await?.len(),
        3,
        "nothing was appended to it"
    );
    Ok(())
}

/// The lines with a last line that fits them.
fn exported_again(lines: &[&[u8]]) -> Vec<u8> {
    use sha2::Digest as _;
    let body = lines.concat();
    let streams = lines
        .iter()
        .filter_map(|line| {
            let text = String::from_utf8_lossy(line);
            let at = text.find("\"streamname\":\"")? + 14;
            text[at..].split('"').next().map(str::to_owned)
        })
        .collect::<std::collections::BTreeSet<_>>()
        .len();
    let digest: String = sha2::Sha256::digest(&body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let last = format!(
        "{{\"streamexport\":1,\"streams\":{streams},\"events\":{},\"sha256\":\"{digest}\"}}\n",
        lines.len()
    );
    [body, last.into_bytes()].concat()
}

#[tokio::test]
async fn a_file_that_is_not_whole_is_refused_before_anything_is_appended() -> Result {
    let (_from, file) = source().await?;
    let into = World::new().await?;
    let mut connection = into.connect().await?;
    let lines: Vec<&[u8]> = file.split_inclusive(|byte| *byte == b'\n').collect();
    let last = lines.len() - 1;
    let text = String::from_utf8(file.clone())?;
    let format = text.replace("\"streamexport\":1", "\"streamexport\":2");
    for (broken, at, part) in [
        (lines[..last].concat(), last as u64 + 1, "the last line is missing"),
        (file[..file.len() - 2].to_vec(), last as u64 + 1, "the file ends in the middle"),
        (Vec::new(), 1, "the last line is missing"),
        ([lines[0], lines[2], lines[3]].concat(), 2, "has version 3 where 2 must be"),
        (lines[1..].concat(), 1, "begins with version 2"),
        ([&lines[..5], &lines[6..]].concat().concat(), 6, "where 2 must be"),
        (text.replacen("image/png", "image/gif", 1).into_bytes(), last as u64 + 1, "the file was changed"),
        ([lines[..4].concat(), lines[last].to_vec()].concat(), 5, "there are 4 of 1"),
        ([&file[..], lines[0]].concat(), last as u64 + 2, "behind the last line"),
        (format.into_bytes(), last as u64 + 1, "of format 2"),
        (b"{}\n".to_vec(), 1, ""),
        (exported_again(&[b"{\"specversion\":\"1.0\",\"id\":\"no-uuid\",\"source\":\"s\",\"type\":\"t\",\"streamname\":\"a-1\",\"streamversion\":1}\n"]), 1, "must be a UUID"),
    ] {
        let (line, said) = refusal(import(&mut connection, &broken, Topics::Private).await)?;
        assert!(line == at && said.contains(part), "{part}: line {line}: {said}");
    }
    let events: i64 = sqlx::query_scalar("select count(*) from outbox.log")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(events, 0);
    Ok(())
}
