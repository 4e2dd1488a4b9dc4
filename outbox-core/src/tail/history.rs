//! What was published on a stream, read again from the log: the same events in the same order under the same ids.
//!
//! Authoritative is the ledger. What the log no longer has whole is left out at the beginning, never in the middle: a share
//! that lost rows is a failure. Events that a person took out of the stream are not part of it, nor what was removed from the event store since.

use std::collections::HashSet;

use super::batch::BoundShare;
use super::pg::session::{Dial, Session};
use super::pg::{history, rows};
use super::row::Row;
use super::{Error, Kind, Options, StreamId};
use crate::event::EntryId;

/// A log to read from.
pub(crate) struct History {
    session: Session,
    database_id: String,
    /// The writer in whose streams this log's events are; none where a topic has one writer.
    pub(crate) writer: Option<String>,
}

/// On the way through one stream.
pub(crate) struct Walk<'a> {
    history: &'a History,
    stream: StreamId,
    behind: EntryId,
    until: EntryId,
    skipped: HashSet<i64>,
    place: (i64, i64),
    share: Option<(BoundShare, i64)>,
}

impl History {
    /// Connects.
    pub(crate) async fn open(dial: &Dial, options: &Options) -> Result<Self, Error> {
        let session = Session::open(dial, "history", options.pooled, options.statement_limit).await?;
        let (database_id, writer) = history::identity(&session).await?;
        Ok(Self {
            session,
            database_id,
            writer,
        })
    }

    /// The streams of a topic on which something was published, whether the sink still has them or not.
    pub(crate) async fn streams(&self, topic: &str) -> Result<Vec<StreamId>, Error> {
        history::streams(&self.session, topic).await
    }

    /// The entry id under which an event was published; none if it is not in this log, or not published yet.
    pub(crate) async fn find(&self, topic: &str, event: &str) -> Result<Option<EntryId>, Error> {
        history::find(&self.session, topic, event).await
    }

    /// About how many events the log still has of a stream behind one entry and up to another (none: to what was confirmed).
    pub(crate) async fn count(
        &self,
        stream: &StreamId,
        behind: EntryId,
        until: Option<EntryId>,
    ) -> Result<u64, Error> {
        let until = self.until(stream, until).await?;
        match history::start(&self.session, stream, behind).await? {
            Some(first) => history::count(&self.session, stream, first, until).await,
            None => Ok(0),
        }
    }

    /// Begins reading a stream behind one entry and up to another.
    pub(crate) async fn walk(
        &self,
        stream: &StreamId,
        behind: EntryId,
        until: Option<EntryId>,
    ) -> Result<Walk<'_>, Error> {
        let until = self.until(stream, until).await?;
        let first = history::start(&self.session, stream, behind).await?;
        Ok(Walk {
            history: self,
            stream: stream.clone(),
            behind,
            until,
            skipped: history::skipped(&self.session, &stream.topic).await?,
            // Without a share to begin with there is none after it either.
            place: (first.unwrap_or(i64::MAX), -1),
            share: None,
        })
    }

    async fn until(&self, stream: &StreamId, until: Option<EntryId>) -> Result<EntryId, Error> {
        match until {
            Some(until) => Ok(until),
            None => history::end(&self.session, stream).await,
        }
    }
}

impl Walk<'_> {
    /// The next rows with the ids of their entries, at most `rows` of them and about `bytes`; none at the end.
    pub(crate) async fn next(&mut self, rows: i64, bytes: i64) -> Result<Vec<(EntryId, Row)>, Error> {
        loop {
            if self.share.is_none() && !self.open_share().await? {
                return Ok(Vec::new());
            }
            let Some((bound, read)) = &mut self.share else {
                return Ok(Vec::new());
            };
            let found = match &bound.laid {
                Some(laid) => vec![laid.row(&self.stream, &self.history.database_id)],
                None => rows::read_share(&self.history.session, bound, self.place.1, rows, bytes).await?,
            };
            *read += i64::try_from(found.len()).unwrap_or(i64::MAX);
            match found.last() {
                Some(last) => self.place.1 = last.position,
                None => self.place.1 = bound.share.last_position,
            }
            let batch_id = bound.batch_id;
            if self.place.1 >= bound.share.last_position {
                if bound.laid.is_none() {
                    self.history.complete(bound, *read).await?;
                }
                self.share = None;
            }
            let wanted = found.into_iter().filter_map(|row| {
                let id = EntryId::new(batch_id, row.position.unsigned_abs());
                let is_wanted = id > self.behind && id <= self.until && !self.skipped.contains(&row.position);
                is_wanted.then_some((id, row))
            });
            let wanted: Vec<(EntryId, Row)> = wanted.collect();
            if !wanted.is_empty() {
                return Ok(wanted);
            }
        }
    }

    /// Opens the next share; false at the end.
    async fn open_share(&mut self) -> Result<bool, Error> {
        let (number, position) = self.place;
        let next = rows::next_share(&self.history.session, &self.stream, number, position).await?;
        let Some(bound) = next.filter(|bound| bound.batch_id <= self.until.batch_id) else {
            return Ok(false);
        };
        // The relay's own entry that the topic moved on has position 0, and no other has.
        let before = if bound.laid.is_some() { -1 } else { 0 };
        self.place = (bound.batch_number, before);
        self.share = Some((bound, 0));
        Ok(true)
    }
}

impl History {
    /// A share that lost rows is no history: what follows would look whole. What was removed from the event store is not lost.
    async fn complete(&self, bound: &BoundShare, read: i64) -> Result<(), Error> {
        let is_complete = |read| read == bound.share.event_count;
        if is_complete(read) || is_complete(read + history::removed(&self.session, bound).await?) {
            return Ok(());
        }
        Err(shortened(bound, read))
    }
}

fn shortened(bound: &BoundShare, read: i64) -> Error {
    Error::new(
        Kind::Refused,
        format!(
            "the log has {read} of the {} events that batch {} put on stream {}: begin behind it, at {}-0 or later",
            bound.share.event_count,
            bound.batch_id,
            bound.share.stream,
            bound.batch_id + 1
        ),
    )
}
