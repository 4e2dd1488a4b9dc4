//! Streams that this database published and does not know: their topics were new in a time that it has lost.
//!
//! The ledger says nothing of them, so they are looked for at the sink, by the keys of their marks. A search goes through all keys
//! of the server and is bounded in time: for a moment on connect, which is enough for a million keys, and a little with every
//! comparison until it comes to its end. Once for a connection: marks of ours come into being through this database alone.
//! Where the sink does not allow it, a warning says so.

use std::time::{Duration, Instant};

use super::leader::Leader;
use super::sink::{Marked, SinkConnection, is_elsewhere};
use super::{Error, Kind, pg};
use crate::tail::StreamId;
use crate::tail::ledger::Refusal;

/// Where a search begins.
pub(super) const BEGINNING: &str = "0";
/// How long a search may take before anything is sent on a new connection.
pub(super) const ON_CONNECT: Duration = Duration::from_secs(1);
/// How long with each comparison after that.
const PER_COMPARISON: Duration = Duration::from_millis(50);

impl Leader {
    /// Goes on with a search that did not come to its end.
    pub(super) async fn search_on(&mut self) -> Result<(), Error> {
        let Some(link) = self.link.clone().filter(|_| self.unsearched.is_some()) else {
            return Ok(());
        };
        match self.search_marks(link.sink.as_ref(), PER_COMPARISON).await {
            Err(error) if matches!(error.kind(), Kind::SinkDown | Kind::SinkUnfit) => {
                self.sink_failed(&error);
                Ok(())
            }
            searched => searched,
        }
    }

    /// Searches for so long, and judges what it finds.
    pub(super) async fn search_marks(
        &mut self,
        sink: &dyn SinkConnection,
        patience: Duration,
    ) -> Result<(), Error> {
        let until = Instant::now() + patience;
        let pattern = self.publisher.names.any_mark();
        while let Some(cursor) = self.unsearched.take() {
            let (keys, next) = sink.search(&cursor, &pattern).await?;
            self.unsearched = next;
            self.judge_found(sink, keys).await?;
            if Instant::now() >= until {
                break;
            }
        }
        Ok(())
    }

    /// Refuses if one of these marks says that this database published a stream that it does not know.
    async fn judge_found(&mut self, sink: &dyn SinkConnection, keys: Vec<String>) -> Result<(), Error> {
        let (streams, keys): (Vec<StreamId>, Vec<String>) = keys
            .into_iter()
            .filter_map(|key| Some((self.publisher.names.marked(&key)?, key)))
            .filter(|(stream, _)| !self.lanes.contains_key(stream))
            .unzip();
        if keys.is_empty() {
            return Ok(());
        }
        let marks = sink.marks(&keys).await?;
        for ((stream, key), marked) in streams.into_iter().zip(keys).zip(marks) {
            let Marked::By(mark) = marked else { continue };
            let ours = self.publisher.database_id.clone();
            if is_elsewhere(&mark.database_id, &ours) {
                return Err(Refusal::MovedMark {
                    key,
                    theirs: mark.database_id,
                    ours,
                }
                .into());
            }
            // Also a topic that was seen first by a leader that this one took over from, or that took over from it.
            if mark.database_id == ours
                && !pg::unknown_batches(&self.session, &[mark.batch_id])
                    .await?
                    .is_empty()
                && pg::load_streams(&self.session, Some(&stream)).await?.is_empty()
            {
                return Err(Refusal::UnknownTopic {
                    key,
                    stream: stream.to_string(),
                    marked: mark.batch_id,
                }
                .into());
            }
        }
        Ok(())
    }
}
