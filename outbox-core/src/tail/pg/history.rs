//! Where a stream can be read again from, and what was taken out of it.

use std::collections::HashSet;

use tokio_postgres::types::Type;

use super::column::{get, passed, unsigned};
use super::session::Session;
use crate::event::EntryId;
use crate::tail::batch::BoundShare;
use crate::tail::{Error, StreamId};

const START: &str = include_str!("../../../queries/tail/history_start.sql");
const END: &str = include_str!("../../../queries/tail/history_end.sql");
const COUNT: &str = include_str!("../../../queries/tail/history_count.sql");
const WRITER: &str = include_str!("../../../queries/tail/history_writer.sql");
const PUBLISHED: &str = include_str!("../../../queries/tail/list_published.sql");
const REMOVED: &str = include_str!("../../../queries/tail/history_removed.sql");
const SKIPPED: &str = include_str!("../../../queries/tail/list_skipped.sql");
const FIND_EVENT: &str = include_str!("../../../queries/tail/find_event.sql");

/// How this database is named at the sink, and the writer of its streams.
pub(crate) async fn identity(session: &Session) -> Result<(String, Option<String>), Error> {
    let rows = session.query(WRITER, &[]).await?;
    rows.first().map_or_else(
        || Ok((String::new(), None)),
        |row| Ok((get(row, "database_id")?, get(row, "writer")?)),
    )
}

/// The number of the first batch behind an entry from which on the log has everything of a stream; none if it has nothing.
pub(crate) async fn start(
    session: &Session,
    stream: &StreamId,
    behind: EntryId,
) -> Result<Option<i64>, Error> {
    let batch_id = signed(behind.batch_id);
    let rows = session
        .query(
            START,
            &[
                (&stream.topic, Type::TEXT),
                (&stream.slot(), Type::INT4),
                (&batch_id, Type::INT8),
            ],
        )
        .await?;
    rows.first().map(|row| get(row, "batch_number")).transpose()
}

/// The entry last confirmed on a stream; the lowest id if none was.
pub(crate) async fn end(session: &Session, stream: &StreamId) -> Result<EntryId, Error> {
    let parameters = [
        (&stream.topic as _, Type::TEXT),
        (&stream.slot() as _, Type::INT4),
    ];
    let rows = session.query(END, &parameters).await?;
    rows.first().map_or(Ok(EntryId::MIN), |row| {
        Ok(EntryId::new(
            unsigned(get(row, "chain_batch_id")?)?,
            unsigned(get(row, "chain_position")?)?,
        ))
    })
}

/// About how many events a stream has from the batch `first` to the one of `until`.
pub(crate) async fn count(
    session: &Session,
    stream: &StreamId,
    first: i64,
    until: EntryId,
) -> Result<u64, Error> {
    let until = signed(until.batch_id);
    let rows = session
        .query(
            COUNT,
            &[
                (&stream.topic, Type::TEXT),
                (&stream.slot(), Type::INT4),
                (&first, Type::INT8),
                (&until, Type::INT8),
            ],
        )
        .await?;
    rows.first().map_or(Ok(0), |row| unsigned(get(row, "events")?))
}

/// The streams of a topic on which something was published.
pub(crate) async fn streams(session: &Session, topic: &str) -> Result<Vec<StreamId>, Error> {
    let rows = session.query(PUBLISHED, &[(&topic, Type::TEXT)]).await?;
    let slots: Vec<i32> = rows
        .iter()
        .map(|row| get(row, "slot"))
        .collect::<Result<_, _>>()?;
    Ok(slots
        .into_iter()
        .filter_map(|slot| StreamId::from_slot(topic, slot))
        .collect())
}

/// How many events of a share were removed from the event store since it was cut.
pub(crate) async fn removed(session: &Session, bound: &BoundShare) -> Result<i64, Error> {
    let share = &bound.share;
    let (before, snapshot) = (bound.before.to_string(), bound.snapshot.to_string());
    let (snapshots, positions) = passed(&bound.passed);
    let rows = session
        .query(
            REMOVED,
            &[
                (&share.stream.topic, Type::TEXT),
                (&share.stream.slot(), Type::INT4),
                (&i32::from(share.partitions), Type::INT4),
                (&bound.batch_number, Type::INT8),
                (&share.first_position, Type::INT8),
                (&share.last_position, Type::INT8),
                (&before, Type::TEXT),
                (&snapshot, Type::TEXT),
                (&snapshots, Type::TEXT_ARRAY),
                (&positions, Type::INT8_ARRAY),
                (&bound.era_floor, Type::INT8),
            ],
        )
        .await?;
    rows.first().map_or(Ok(0), |row| get(row, "removed"))
}

/// Positions of events that a person took out of a topic.
pub(crate) async fn skipped(session: &Session, topic: &str) -> Result<HashSet<i64>, Error> {
    let rows = session.query(SKIPPED, &[(&topic, Type::TEXT)]).await?;
    rows.iter().map(|row| get(row, "position")).collect()
}

/// The entry id under which an event was published first.
pub(crate) async fn find(session: &Session, topic: &str, event: &str) -> Result<Option<EntryId>, Error> {
    let Ok(event) = event.parse::<uuid::Uuid>() else {
        return Ok(None);
    };
    let event = event.to_string();
    let rows = session
        .query(FIND_EVENT, &[(&event, Type::TEXT), (&topic, Type::TEXT)])
        .await?;
    rows.first()
        .map(|row| {
            Ok(EntryId::new(
                unsigned(get(row, "batch_id")?)?,
                unsigned(get(row, "position")?)?,
            ))
        })
        .transpose()
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
