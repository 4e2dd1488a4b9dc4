//! Measuring and cutting a re-issue.

use tokio_postgres::types::Type;

use super::column::{get, passed, snapshot, unsigned};
use super::cut::CutBounds;
use super::session::{LONGEST_CUT, Session};
use crate::event::EntryId;
use crate::tail::batch::{Batch, Cut, Share};
use crate::tail::reissue::{Behind, Measured, Order};
use crate::tail::{Error, Kind, StreamId};

const MEASURE_REISSUE: &str = include_str!("../../../queries/tail/measure_reissue.sql");
const CUT_REISSUE: &str = include_str!("../../../queries/tail/cut_reissue.sql");

/// How long measuring may take: it looks at every row behind the entry.
pub(crate) const LONGEST_MEASURE: std::time::Duration = LONGEST_CUT;

/// What stands behind an entry of a stream whose topic has so many partitions.
pub(crate) async fn measure(
    session: &Session,
    stream: &StreamId,
    partitions: u16,
    behind: &Behind,
    missing: EntryId,
) -> Result<Measured, Error> {
    let (base, partitions) = (behind.base.to_string(), i32::from(partitions));
    let (snapshots, positions) = passed(&behind.passed);
    let missing = i64::try_from(missing.position).unwrap_or(i64::MAX);
    let rows = session
        .query(
            MEASURE_REISSUE,
            &[
                (&stream.topic, Type::TEXT),
                (&stream.slot(), Type::INT4),
                (&partitions, Type::INT4),
                (&base, Type::TEXT),
                (&snapshots, Type::TEXT_ARRAY),
                (&positions, Type::INT8_ARRAY),
                (&behind.number, Type::INT8),
                (&missing, Type::INT8),
            ],
        )
        .await?;
    let row = rows
        .first()
        .ok_or_else(|| Error::new(Kind::Shape, "the ledger has no row at all"))?;
    Ok(Measured {
        through: get(row, "through")?,
        event_count: get(row, "event_count")?,
        removed: get(row, "removed")?,
        first_position: get(row, "first_position")?,
        last_position: get(row, "last_position")?,
        first_new_position: get(row, "first_new_position")?,
        cut_later: get(row, "cut_later")?,
        found_later: get(row, "found_later")?,
        cut_own: get(row, "cut_own")?,
        found_own: get(row, "found_own")?,
        has_missing: get(row, "has_missing")?,
        measured_in: get(row, "measured_in")?,
    })
}

/// Cuts a re-issue after `head`. None if the stream was re-issued or divided since it was measured, or events of its topic were
/// removed. Durable when this returns.
pub(crate) async fn cut_reissue(
    session: &Session,
    head: &Batch,
    bounds: CutBounds,
    order: &Order,
) -> Result<Option<Cut>, Error> {
    let (behind, measured) = (&order.behind, &order.measured);
    let signed = |half: u64| i64::try_from(half).unwrap_or(i64::MAX);
    let kept = (signed(behind.kept.batch_id), signed(behind.kept.position));
    let (base, missing) = (behind.base.to_string(), order.missing.to_string());
    let (snapshots, positions) = passed(&behind.passed);
    let rows = session
        .query_durably(
            CUT_REISSUE,
            &[
                (&head.number, Type::INT8),
                (&bounds.era, Type::INT4),
                (&bounds.epoch, Type::INT8),
                (&order.stream.topic, Type::TEXT),
                (&order.stream.slot(), Type::INT4),
                (&kept.0, Type::INT8),
                (&kept.1, Type::INT8),
                (&behind.number, Type::INT8),
                (&base, Type::TEXT),
                (&snapshots, Type::TEXT_ARRAY),
                (&positions, Type::INT8_ARRAY),
                (&measured.through, Type::INT8),
                (&measured.event_count, Type::INT8),
                (&measured.first_position, Type::INT8),
                (&measured.last_position, Type::INT8),
                (&measured.first_new_position, Type::INT8),
                (&missing, Type::TEXT),
                (&order.asked_by, Type::TEXT),
                (&behind.base_number, Type::INT8),
                (&measured.removed, Type::INT8),
                (&measured.measured_in, Type::TEXT),
            ],
            LONGEST_CUT,
        )
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    crash_point!(REISSUE_CUT);
    let batch = Batch {
        number: get(row, "number")?,
        batch_id: unsigned(get(row, "batch_id")?)?,
        snapshot: snapshot(row, "snapshot")?,
        event_count: get(row, "event_count")?,
    };
    let share = Share {
        stream: order.stream.clone(),
        partitions: order.partitions,
        event_count: batch.event_count,
        first_position: get(row, "first_position")?,
        last_position: get(row, "last_position")?,
        first_new_position: get(row, "first_new_position")?,
    };
    Ok(Some(Cut {
        batch,
        before: behind.base.clone(),
        shares: vec![share],
        rows: Vec::new(),
        laid: None,
        behind: Some(behind.clone()),
    }))
}
