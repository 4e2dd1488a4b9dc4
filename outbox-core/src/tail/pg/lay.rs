//! Laying partitions: the row of the ledger that a topic's new layout begins with.

use tokio_postgres::types::Type;

use super::column::{get, small, snapshot, unsigned};
use super::cut::CutBounds;
use super::session::Session;
use crate::tail::batch::{Batch, Cut, Share};
use crate::tail::layout::{Generation, Laid, streams};
use crate::tail::{Error, StreamId};

const LAY_PARTITIONS: &str = include_str!("../../../queries/tail/lay_partitions.sql");

/// Lays the partitions of one topic that should have more than it has, behind `head`; none if there is no such topic.
/// What was laid is durable when this returns.
pub(crate) async fn lay_partitions(
    session: &Session,
    head: &Batch,
    bounds: CutBounds,
) -> Result<Option<Cut>, Error> {
    let rows = session
        .query_durably(
            LAY_PARTITIONS,
            &[
                (&head.number, Type::INT8),
                (&bounds.era, Type::INT4),
                (&bounds.epoch, Type::INT8),
            ],
            session.limit(),
        )
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    crash_point!(LAYOUT_LAID);
    let batch = Batch {
        number: get(row, "number")?,
        batch_id: unsigned(get(row, "batch_id")?)?,
        snapshot: snapshot(row, "snapshot")?,
        event_count: 0,
    };
    let topic: String = get(row, "topic")?;
    let before = small(get(row, "partitions_before")?)?;
    let moved: bool = get(row, "begun")?;
    let ended = if moved {
        streams(&topic, before)
    } else {
        Vec::new()
    };
    let shares = ended
        .into_iter()
        .map(|stream| last_share(stream, before))
        .collect();
    let generation = Generation {
        number: get(row, "generation")?,
        partitions: small(get(row, "partitions")?)?,
        batch_id: batch.batch_id,
        moved,
    };
    Ok(Some(Cut {
        batch,
        before: head.snapshot.clone(),
        shares,
        rows: Vec::new(),
        behind: None,
        laid: Some(Laid {
            topic,
            generation,
            before,
            at: get(row, "cut_at")?,
        }),
    }))
}

/// The last share of a stream in its generation: one entry of ours.
fn last_share(stream: StreamId, partitions: u16) -> Share {
    Share {
        stream,
        partitions,
        event_count: 1,
        first_position: 0,
        last_position: 0,
        first_new_position: None,
    }
}
