//! What the leader has in flight: reads from the log and parcels at the sink, each answering for one stream.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::Error;
use super::lane::{Lane, Place, Portion};
use super::sink::{Marked, Parcel, Receipt, SinkConnection};
use super::span::Sending;
use crate::tail::batch::BoundShare;
use crate::tail::pg::{Session, rows};
use crate::tail::{self, StreamId};

/// A connection to the sink, told from those before it: what fails on an earlier one says nothing about this one.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) number: u64,
    pub(super) sink: Arc<dyn SinkConnection>,
}

/// Something in flight that ended. What belongs to a stretch that the lane has let go of since counts no more.
pub(super) enum Done {
    /// Rows for a lane, with the share they are of. None: the ledger has no more for it.
    Read {
        stream: StreamId,
        stretch: u64,
        found: Result<Option<(BoundShare, Portion)>, tail::Error>,
    },
    /// The mark of a stream that was not known when the connection was made.
    Vetted {
        stream: StreamId,
        link: u64,
        mark: Result<Option<Marked>, Error>,
    },
    /// The answer for a parcel.
    Published {
        stream: StreamId,
        stretch: u64,
        link: u64,
        receipt: Result<Receipt, Error>,
    },
}

/// Sends a parcel.
pub(super) fn publish(link: Link, lane: &Lane, parcel: Parcel) -> BoxFuture<'static, Done> {
    let (stream, stretch) = (lane.stream.clone(), lane.stretch());
    let sending = Sending::begin(lane, &parcel);
    Box::pin(async move {
        let receipt = link.sink.publish(parcel).await;
        sending.end(&receipt);
        Done::Published {
            stream,
            stretch,
            link: link.number,
            receipt,
        }
    })
}

/// Reads the mark of one stream.
pub(super) fn vet(link: Link, stream: StreamId, key: String) -> BoxFuture<'static, Done> {
    Box::pin(async move {
        let mark = link
            .sink
            .marks(&[key])
            .await
            .map(|marks| marks.into_iter().next());
        Done::Vetted {
            stream,
            link: link.number,
            mark,
        }
    })
}

/// Reads what comes next in a lane.
pub(super) fn read(session: Arc<Session>, lane: &Lane, rows: i64, bytes: i64) -> BoxFuture<'static, Done> {
    let (stream, stretch, handed) = (lane.stream.clone(), lane.stretch(), lane.handed);
    let share = lane.reading_share.clone().filter(|bound| {
        handed
            < Place {
                batch_number: bound.batch_number,
                position: bound.share.last_position,
            }
    });
    Box::pin(async move {
        let found = next_rows(&session, &stream, handed, share, (rows, bytes)).await;
        Done::Read {
            stream,
            stretch,
            found,
        }
    })
}

async fn next_rows(
    session: &Session,
    stream: &StreamId,
    handed: Place,
    share: Option<BoundShare>,
    (max_rows, max_bytes): (i64, i64),
) -> Result<Option<(BoundShare, Portion)>, tail::Error> {
    let bound = match share {
        Some(bound) => bound,
        None => match rows::next_share(session, stream, handed.batch_number, handed.position).await? {
            Some(bound) => bound,
            None => return Ok(None),
        },
    };
    // Positions are compared within one batch only: a later batch may hold a lower position.
    let after = if handed.batch_number == bound.batch_number {
        handed.position
    } else {
        0
    };
    let found = rows::read_share(session, &bound, after, max_rows, max_bytes).await?;
    let portion = Portion {
        batch_number: bound.batch_number,
        batch_id: bound.batch_id,
        rows: found.into(),
    };
    Ok(Some((bound, portion)))
}
