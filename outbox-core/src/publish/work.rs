//! What the leader has in flight: reads from the log and parcels at the sink, each answering for one stream.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::task::AbortOnDropHandle;

use super::Error;
use super::gather::{Brought, Reading};
use super::lane::Lane;
use super::search::steps;
use super::sink::{Announced, Marked, Parcel, Receipt, SinkConnection, Step};
use super::span::Sending;
use crate::tail::pg::Session;
use crate::tail::pg::rows::{self, Come};
use crate::tail::row::Form;
use crate::tail::{self, StreamId};

/// A connection to the sink, told from those before it: what fails on an earlier one says nothing about this one.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) number: u64,
    pub(super) sink: Arc<dyn SinkConnection>,
}

/// Something in flight that ended. What belongs to a stretch that the lane has let go of since counts no more.
pub(super) enum Done {
    /// Rows for the lanes that read together.
    Read {
        /// What it was expected to bring.
        expected: usize,
        found: Result<Vec<Brought>, tail::Error>,
    },
    /// The mark of a stream that was not known when the connection was made, and what is said about partitions of its topic.
    Vetted {
        stream: StreamId,
        link: u64,
        told: Result<(Option<Marked>, Option<String>), Error>,
    },
    /// What a part of the search for marks found, and where it goes on.
    Searched { link: u64, found: Result<Step, Error> },
    /// Whether the sink took the layout of the topic of a stream.
    Announced {
        stream: StreamId,
        link: u64,
        layout: String,
        answer: Result<Option<Announced>, Error>,
    },
    /// The answer for a parcel.
    Published {
        stream: StreamId,
        stretch: u64,
        link: u64,
        /// The batch that its entries are of.
        batch_id: u64,
        receipt: Result<Receipt, Error>,
    },
}

/// Sends a parcel.
pub(super) fn publish(link: Link, lane: &Lane, parcel: Parcel) -> BoxFuture<'static, Done> {
    let (stream, stretch) = (lane.stream.clone(), lane.stretch());
    let sending = Sending::begin(lane, &parcel);
    let batch_id = parcel.mark.1.batch_id;
    Box::pin(async move {
        let receipt = link.sink.publish(parcel).await;
        sending.end(&receipt);
        Done::Published {
            stream,
            stretch,
            link: link.number,
            batch_id,
            receipt,
        }
    })
}

/// Reads the mark of one stream, and the layout of its topic.
pub(super) fn vet(link: Link, stream: StreamId, mark: String, layout: String) -> BoxFuture<'static, Done> {
    Box::pin(async move {
        let (mark, layout) = ([mark], [layout]);
        let told = tokio::try_join!(link.sink.marks(&mark), link.sink.layouts(&layout));
        Done::Vetted {
            stream,
            link: link.number,
            told: told
                .map(|(marks, layouts)| (marks.into_iter().next(), layouts.into_iter().next().flatten())),
        }
    })
}

/// Looks for keys of this pattern, from a cursor on.
pub(super) fn search(
    link: Link,
    cursor: String,
    pattern: String,
    patience: Duration,
) -> BoxFuture<'static, Done> {
    Box::pin(async move {
        let found = steps(link.sink.as_ref(), cursor, &pattern, patience).await;
        Done::Searched {
            link: link.number,
            found,
        }
    })
}

/// Says how many partitions a topic has, before anything leaves that must not be read without it.
pub(super) fn announce(
    link: Link,
    stream: StreamId,
    key: String,
    layout: String,
) -> BoxFuture<'static, Done> {
    Box::pin(async move {
        let answer = link
            .sink
            .announce(&[(key, layout.clone())])
            .await
            .map(|answers| answers.into_iter().next());
        Done::Announced {
            stream,
            link: link.number,
            layout,
            answer,
        }
    })
}

/// What a read should bring.
pub(super) struct Wanted {
    /// So many bytes.
    pub(super) expected: usize,
    /// Whose entries those are that say that a topic moved on.
    pub(super) database_id: String,
    pub(super) form: Form,
}

/// Reads what comes next in some lanes of a topic: in a task of its own, so that rows become events while the leader packs and settles.
pub(super) fn read(session: Arc<Session>, reading: Reading, wanted: Wanted) -> BoxFuture<'static, Done> {
    let expected = wanted.expected;
    Box::pin(async move {
        let bringing = tokio::spawn(async move { bring(&session, reading, &wanted).await });
        // Given up with the term that wanted it.
        let found = match AbortOnDropHandle::new(bringing).await {
            Ok(found) => found,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is being taken down, and whoever waits here with it.
                Err(_) => std::future::pending().await,
            },
        };
        Done::Read { expected, found }
    })
}

async fn bring(
    session: &Session,
    mut reading: Reading,
    wanted: &Wanted,
) -> Result<Vec<Brought>, tail::Error> {
    let come: Vec<Come> = reading
        .readers
        .iter()
        .filter(|reader| reader.share.is_none())
        .map(|reader| Come {
            slot: reader.stream.slot(),
            batch_number: reader.handed.batch_number,
            position: reader.handed.position,
        })
        .collect();
    if let Some(first) = reading.readers.first().filter(|_| !come.is_empty()) {
        let found = rows::next_shares(session, &first.stream.topic, &come).await?;
        reading.begin(found);
    }
    let mut brought = reading.take_ready(&wanted.database_id);
    brought.extend(reading.take_waiting());
    if let Some(section) = reading.section() {
        let (rows, bytes) = reading.limits();
        let found = rows::read_section(session, &section, rows, bytes, wanted.form).await?;
        brought.extend(reading.split(&section, found));
    }
    Ok(brought)
}
