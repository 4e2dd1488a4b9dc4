//! Streams that this database published and does not know: their topics were new in a time that it has lost.
//!
//! The ledger says nothing of them, so they are looked for at the sink, by the keys of their marks. A search goes through all keys
//! of the server and is bounded in time: for a moment on connect, which is enough for a million keys, and a little with every
//! comparison, in flight, until it comes to its end. Once for a connection: marks of ours come into being through this database alone.
//! Where connections are short it goes on with the next one, and begins again behind its end.
//! Where the sink does not allow it, a warning says so.

use std::time::{Duration, Instant};

use super::leader::Leader;
use super::sink::{Marked, SinkConnection, Step, is_elsewhere};
use super::{Error, Kind, pg, work};
use crate::tail::StreamId;
use crate::tail::ledger::Refusal;

/// Where a search begins.
const BEGINNING: &str = "0";
/// How long a search may take before anything is sent on a new connection.
const ON_CONNECT: Duration = Duration::from_secs(1);
/// How long with each comparison after that.
const PER_COMPARISON: Duration = Duration::from_millis(50);
/// So many keys are judged before more are looked for.
const KEYS_AT_ONCE: usize = 10_000;

/// Where the search is. It goes on over connections: one from the beginning with each would come to no end where connections are short.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// Where it goes on; none: it came to its end.
    cursor: Option<String>,
    /// It was begun with a connection before this one: what it went through then is gone through once more.
    again: bool,
    /// A part of it is in flight.
    pub(super) in_flight: bool,
}

impl Search {
    /// There is a new connection.
    fn connected(&mut self) {
        self.again = self.cursor.is_some();
        self.cursor.get_or_insert_with(|| BEGINNING.to_owned());
    }

    /// Everything before this was judged.
    fn came_to(&mut self, next: Option<String>) {
        self.cursor = match next {
            None if std::mem::take(&mut self.again) => Some(BEGINNING.to_owned()),
            next => next,
        };
    }
}

/// Steps of a search for so long, one at least: what was found, and where it goes on.
pub(super) async fn steps(
    sink: &dyn SinkConnection,
    mut cursor: String,
    pattern: &str,
    patience: Duration,
) -> Result<Step, Error> {
    let until = Instant::now() + patience;
    let mut keys = Vec::new();
    loop {
        let (found, next) = sink.search(&cursor, pattern).await?;
        keys.extend(found);
        match next {
            Some(next) if Instant::now() < until && keys.len() < KEYS_AT_ONCE => cursor = next,
            next => return Ok((keys, next)),
        }
    }
}

impl Leader {
    /// Goes on with a search that did not come to its end, in flight: nothing waits for it.
    pub(super) fn search_on(&mut self) {
        if let Some(link) = self.link.clone()
            && let Some(cursor) = self.search.cursor.clone()
            && !self.search.in_flight
        {
            self.search.in_flight = true;
            let pattern = self.publisher.names.any_mark();
            self.in_flight
                .push(work::search(link, cursor, pattern, PER_COMPARISON));
        }
    }

    /// A part of the search came back.
    pub(super) async fn settle_search(&mut self, link: u64, found: Result<Step, Error>) -> Result<(), Error> {
        self.search.in_flight = false;
        let Some(current) = self.link.clone().filter(|current| current.number == link) else {
            return Ok(());
        };
        let judged = match found {
            Ok((keys, next)) => match self.judge_found(current.sink.as_ref(), keys).await {
                Ok(()) => {
                    self.search.came_to(next);
                    Ok(())
                }
                refused => refused,
            },
            Err(error) => Err(error),
        };
        match judged {
            Err(error) if matches!(error.kind(), Kind::SinkDown | Kind::SinkUnfit) => {
                self.sink_failed(&error);
                Ok(())
            }
            judged => judged,
        }
    }

    /// Searches for so long on a new connection, and judges what it finds before anything is sent there.
    pub(super) async fn search_first(&mut self, sink: &dyn SinkConnection) -> Result<(), Error> {
        let until = Instant::now() + ON_CONNECT;
        let pattern = self.publisher.names.any_mark();
        self.search.connected();
        while let Some(cursor) = self.search.cursor.clone() {
            let left = until.saturating_duration_since(Instant::now());
            let (keys, next) = steps(sink, cursor, &pattern, left).await?;
            self.judge_found(sink, keys).await?;
            self.search.came_to(next);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_goes_on_with_the_next_connection_and_then_once_from_the_beginning() {
        let mut search = Search::default();
        search.connected();
        assert_eq!(search.cursor.as_deref(), Some(BEGINNING));
        search.came_to(Some("7".to_owned()));
        search.connected();
        assert_eq!(search.cursor.as_deref(), Some("7"));
        search.came_to(None);
        assert_eq!(search.cursor.as_deref(), Some(BEGINNING), "it was begun before");
        search.came_to(None);
        assert_eq!(search.cursor, None);
        search.connected();
        assert_eq!(search.cursor.as_deref(), Some(BEGINNING));
        search.came_to(None);
        assert_eq!(search.cursor, None, "all of it with one connection");
    }
}
