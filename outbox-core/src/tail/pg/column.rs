//! Columns of the ledger as values, and values as the parameters of statements.

use tokio_postgres::Row as PgRow;

use crate::tail::reissue::Above;
use crate::tail::snapshot::Snapshot;
use crate::tail::{Error, Kind, StreamId};

pub(crate) fn snapshot(row: &PgRow, column: &str) -> Result<Snapshot, Error> {
    get::<String>(row, column)?
        .parse()
        .map_err(|error| Error::with_source(Kind::Shape, format!("column {column} is not a snapshot"), error))
}

pub(crate) fn get<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a PgRow,
    column: &str,
) -> Result<T, Error> {
    row.try_get(column).map_err(|error| {
        Error::with_source(
            Kind::Shape,
            format!("column {column} has another shape than expected"),
            error,
        )
    })
}

/// The value at a place that was looked up.
pub(crate) fn value<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a PgRow,
    at: usize,
) -> Result<T, Error> {
    row.try_get(at).map_err(|error| {
        let name = row.columns().get(at).map_or("", |column| column.name());
        Error::with_source(
            Kind::Shape,
            format!("column {name} has another shape than expected"),
            error,
        )
    })
}

/// The stream of a row that names its topic and the slot it is kept under.
pub(crate) fn stream(row: &PgRow) -> Result<StreamId, Error> {
    stream_of(get(row, "topic")?, get(row, "partition")?)
}

/// The stream of a topic that is kept under a slot.
pub(crate) fn stream_of(topic: String, slot: i32) -> Result<StreamId, Error> {
    StreamId::from_slot(topic, slot)
        .ok_or_else(|| Error::new(Kind::Shape, format!("partition {slot} of a stream cannot be")))
}

/// A number of partitions.
pub(crate) fn small(value: i32) -> Result<u16, Error> {
    u16::try_from(value)
        .map_err(|error| Error::with_source(Kind::Shape, "a number of partitions is not possible", error))
}

pub(crate) fn unsigned(value: i64) -> Result<u64, Error> {
    u64::try_from(value).map_err(|error| Error::with_source(Kind::Shape, "a batch id is negative", error))
}

/// What of a re-issue's earlier snapshots stands before it, from the columns of that name.
pub(crate) fn above(row: &PgRow) -> Result<Vec<Above>, Error> {
    let snapshots: Vec<String> = get(row, "passed_snapshots")?;
    let positions: Vec<i64> = get(row, "passed_positions")?;
    let above = snapshots.iter().zip(positions).map(|(text, position)| {
        let snapshot = text.parse().map_err(|error| {
            Error::with_source(Kind::Shape, "a snapshot of a re-issue cannot be read", error)
        })?;
        Ok(Above { snapshot, position })
    });
    above.collect()
}

/// The snapshots and positions of what stands before, as the statements take them.
pub(crate) fn passed(behind: &[Above]) -> (Vec<String>, Vec<i64>) {
    let snapshots = behind.iter().map(|above| above.snapshot.to_string()).collect();
    (snapshots, behind.iter().map(|above| above.position).collect())
}
