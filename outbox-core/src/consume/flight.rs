//! What a session has under way: transactions, the record of how far the stream came, acknowledgements. Each is a task of its
//! own, so that a handler that waits, or a server that is slow, holds nothing else up. Dropped with the session.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::Error;
use super::drained::Drained;
use super::fate::Landing;
use super::park::Lane;
use super::probe::Probe;
use super::redis::Link;
use crate::event::EntryId;

/// How often it is recorded how far the stream came while transactions are under way.
const MOVE_EVERY: Duration = Duration::from_millis(100);

/// What came back.
pub(super) enum Flown {
    Batch {
        /// It moves the chain on as well.
        moves: bool,
        probe: Option<Probe>,
        began: Instant,
        outcome: Result<Landing, Error>,
    },
    Parked {
        outcome: Result<Landing, Error>,
    },
    Lane {
        lane: Lane,
        probe: Option<Probe>,
        began: Instant,
        outcome: Result<Drained, Error>,
    },
    Moved {
        to: EntryId,
        outcome: Result<(), Error>,
    },
    Acknowledged {
        outcome: Result<(), Error>,
    },
}

/// Everything under way.
#[derive(Default)]
pub(super) struct Flights {
    tasks: JoinSet<Flown>,
    batches: usize,
    lanes: usize,
    parking: usize,
    /// One writer at a time moves the chain on: a transaction, or a statement of its own.
    is_moving: bool,
    moved_at: Option<Instant>,
    /// It is to be moved when its time comes.
    must_move: bool,
    finished: Vec<EntryId>,
    acknowledging: Vec<EntryId>,
}

impl Flights {
    /// Whether nothing is under way and nothing waits to be.
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Transactions that apply.
    pub(super) fn transactions(&self) -> usize {
        self.batches + self.lanes
    }

    /// Of those, lanes that are drained.
    pub(super) fn lanes(&self) -> usize {
        self.lanes
    }

    pub(super) fn is_moving(&self) -> bool {
        self.is_moving
    }

    /// When it is to be recorded how far the stream came.
    pub(super) fn moves_at(&self) -> Option<Instant> {
        (self.must_move && !self.is_moving)
            .then(|| self.moved_at.map_or_else(Instant::now, |at| at + MOVE_EVERY))
    }

    /// Entries that are finished and not known to be acknowledged.
    pub(super) fn unacknowledged(&self) -> impl Iterator<Item = EntryId> {
        self.finished.iter().chain(&self.acknowledging).copied()
    }

    /// Those of them that may be acknowledged at any moment, or are.
    pub(super) fn acknowledging(&self) -> usize {
        self.acknowledging.len()
    }

    /// Whether entries are being parked so that others need not wait for them.
    pub(super) fn is_parking(&self) -> bool {
        self.parking > 0
    }

    /// Parks entries. Calls no handler, so it does not count as a transaction that may be slow.
    pub(super) fn park(&mut self, work: impl Future<Output = Result<Landing, Error>> + Send + 'static) {
        self.parking += 1;
        self.tasks.spawn(async move {
            let outcome = work.await;
            Flown::Parked { outcome }
        });
    }

    /// Starts a batch; `moves`: it moves the chain on as well; `probe`: it is to show whether what was down is back.
    pub(super) fn batch(
        &mut self,
        moves: bool,
        probe: Option<Probe>,
        work: impl Future<Output = Result<Landing, Error>> + Send + 'static,
    ) {
        self.batches += 1;
        self.is_moving |= moves;
        let began = Instant::now();
        self.tasks.spawn(async move {
            let outcome = work.await;
            Flown::Batch {
                moves,
                probe,
                began,
                outcome,
            }
        });
    }

    pub(super) fn lane(
        &mut self,
        lane: Lane,
        probe: Option<Probe>,
        work: impl Future<Output = Result<Drained, Error>> + Send + 'static,
    ) {
        self.lanes += 1;
        let began = Instant::now();
        self.tasks.spawn(async move {
            let outcome = work.await;
            Flown::Lane {
                lane,
                probe,
                began,
                outcome,
            }
        });
    }

    /// Notes whether there is something to move on to. Returns whether to do it now, by a statement of its own.
    pub(super) fn must_move(&mut self, is_any: bool, is_due: bool) -> bool {
        let now = Instant::now();
        self.must_move = is_any;
        is_any && !self.is_moving && (is_due || self.moved_at.is_none_or(|at| now >= at + MOVE_EVERY))
    }

    pub(super) fn move_on(
        &mut self,
        to: EntryId,
        work: impl Future<Output = Result<(), Error>> + Send + 'static,
    ) {
        self.is_moving = true;
        self.must_move = false;
        self.tasks.spawn(async move {
            let outcome = work.await;
            Flown::Moved { to, outcome }
        });
    }

    /// These may be acknowledged.
    pub(super) fn finished(&mut self, ids: Vec<EntryId>) {
        self.finished.extend(ids);
    }

    /// Acknowledges what may be, unless that is under way.
    pub(super) fn acknowledge(&mut self, link: &Link) {
        if !self.acknowledging.is_empty() || self.finished.is_empty() {
            return;
        }
        let ids = std::mem::take(&mut self.finished);
        self.acknowledging.clone_from(&ids);
        let mut link = link.clone();
        self.tasks.spawn(async move {
            let outcome = link.acknowledge(&ids).await;
            Flown::Acknowledged { outcome }
        });
    }

    /// The next one that comes back.
    pub(super) async fn next(&mut self) -> Result<Flown, Error> {
        let flown = match self.tasks.join_next().await {
            Some(joined) => joined.map_err(|error| Error::Broken {
                source: Box::new(error),
            })?,
            None => std::future::pending().await,
        };
        match &flown {
            Flown::Batch { moves, .. } => {
                self.batches -= 1;
                if *moves {
                    self.moved();
                }
            }
            Flown::Parked { .. } => self.parking -= 1,
            Flown::Lane { .. } => self.lanes -= 1,
            Flown::Moved { .. } => self.moved(),
            Flown::Acknowledged { .. } => self.acknowledging.clear(),
        }
        Ok(flown)
    }

    /// Lets transactions come to their end; what they came to is in the database.
    pub(super) async fn wind_down(&mut self) {
        while !self.tasks.is_empty() && self.transactions() > 0 {
            if self.next().await.is_err() {
                return;
            }
        }
    }

    /// Whoever moved the chain on is done.
    fn moved(&mut self) {
        self.is_moving = false;
        self.moved_at = Some(Instant::now());
    }
}
