//! The producer's log as the source of what streams no longer have; or none.

use crate::consume::Error;
use crate::consume::stream::{Flow, Stream};
use crate::event::EntryId;
use crate::publish::parcel;
use crate::publish::{Entry, Mode};
use crate::tail::history::{History, Walk};
use crate::tail::pg::Dial;
use crate::tail::{self, StreamId};

/// Rows and bytes of one read.
const ROWS: i64 = 500;
const BYTES: i64 = 4 << 20;

/// The log that was given, if one was.
pub(super) struct Source {
    log: Option<History>,
}

/// Entries of one stream, in order.
pub(super) struct Reading<'a> {
    walk: Walk<'a>,
    previous: EntryId,
}

impl Source {
    pub(super) async fn open(log: Option<&(Dial, tail::Options)>) -> Result<Self, Error> {
        let log = match log {
            Some((dial, options)) => Some(History::open(dial, options).await?),
            None => None,
        };
        Ok(Self { log })
    }

    /// The streams of a topic that this log wrote, whether Redis still has them or not.
    pub(super) async fn streams(&self, prefix: &str, topic: &str) -> Result<Vec<Stream>, Error> {
        let Some(log) = &self.log else {
            return Ok(Vec::new());
        };
        let flow = Flow {
            topic: topic.to_owned(),
            writer: log.writer.clone(),
        };
        let published = log.streams(topic).await?;
        let streams = published
            .into_iter()
            .map(|id| flow.stream(prefix, id.partition.map(u32::from)));
        Ok(streams.collect())
    }

    /// The entry of an event, if the log knows it.
    pub(super) async fn find(&self, topic: &str, event: &str) -> Result<Option<EntryId>, Error> {
        match &self.log {
            Some(log) => Ok(log.find(topic, event).await?),
            None => Ok(None),
        }
    }

    /// About how many entries of a stream it has behind one and up to another; none if it is not this log's stream.
    pub(super) async fn count(
        &self,
        stream: &Stream,
        behind: EntryId,
        until: Option<EntryId>,
    ) -> Result<Option<u64>, Error> {
        match self.of(stream) {
            Some((log, id)) => Ok(Some(log.count(&id, behind, until).await?)),
            None => Ok(None),
        }
    }

    /// Begins reading a stream; none if it is not this log's stream.
    pub(super) async fn read(
        &self,
        stream: &Stream,
        behind: EntryId,
        until: Option<EntryId>,
    ) -> Result<Option<Reading<'_>>, Error> {
        match self.of(stream) {
            Some((log, id)) => Ok(Some(Reading {
                walk: log.walk(&id, behind, until).await?,
                previous: EntryId::MIN,
            })),
            None => Ok(None),
        }
    }

    /// A stream is of the database that writes it.
    fn of(&self, stream: &Stream) -> Option<(&History, StreamId)> {
        let log = self.log.as_ref().filter(|log| log.writer == stream.writer)?;
        let partition = stream
            .partition
            .and_then(|partition| u16::try_from(partition).ok());
        Some((
            log,
            StreamId {
                topic: stream.topic.clone(),
                partition,
            },
        ))
    }
}

impl Reading<'_> {
    /// The next entries, each naming the one before it; none at the end.
    pub(super) async fn next(&mut self) -> Result<Vec<Entry>, Error> {
        loop {
            let rows = self.walk.next(ROWS, BYTES).await?;
            let is_end = rows.is_empty();
            let mut entries = Vec::with_capacity(rows.len());
            for (id, row) in rows {
                if self.previous == EntryId::MIN {
                    // What precedes the first one is passed, whatever it was.
                    self.previous = super::target::before(id);
                }
                // Rows that were given up do not come here. One that can be no entry may have been on the stream: an earlier version
                // published what it had not read. So what follows is behind it.
                match parcel::entry(&row, id.batch_id, self.previous, Mode::Structured) {
                    Ok(entry) => {
                        self.previous = entry.id;
                        entries.push(entry);
                    }
                    Err(_) => self.previous = id,
                }
            }
            // Some rows may have been no entries at all; that is not the end.
            if is_end || !entries.is_empty() {
                return Ok(entries);
            }
        }
    }
}
