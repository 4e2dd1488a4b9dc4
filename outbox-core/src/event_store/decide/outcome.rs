//! Pure: what came of a command.

use std::fmt;

use super::decider::Decider;
use crate::event_store::boundary::Unseen;
use crate::event_store::{Conflict, Error};
use crate::verdict::Verdict;

/// The state that the events of a stream make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded<S> {
    /// The state.
    pub state: S,
    /// The version of the stream that it is of; 0: nothing has happened.
    pub version: u64,
}

/// What came of a command.
#[must_use = "it says whether anything was appended"]
pub enum Decided<D: Decider> {
    /// Its events are in the stream when the transaction commits.
    Appended {
        /// The state after them, with the version.
        after: Loaded<D::State>,
        /// What happened.
        events: Vec<D::Event>,
        /// Their positions in the log, in order.
        positions: Vec<i64>,
    },
    /// The same command, by its id, was carried out before. Nothing was appended.
    AlreadyAppended {
        /// Version of the stream after its events, as it was then.
        version: u64,
        /// What happened then. Where `prepare` gave the events ids of its own and the command has none, what was decided now: only the ids
        /// are known to be the same.
        events: Vec<D::Event>,
        /// The positions that they got then.
        positions: Vec<i64>,
    },
    /// There was nothing to do.
    Unchanged(Loaded<D::State>),
}

/// What came of a command that was decided on events of any streams.
#[must_use = "it says whether anything was appended"]
pub enum DecidedWithin<D: Decider> {
    /// Its events are in the stream when the transaction commits.
    Appended {
        /// The state after them.
        state: D::State,
        /// What happened.
        events: Vec<D::Event>,
        /// Their positions in the log, in order.
        positions: Vec<i64>,
    },
    /// The same command, by its id, was carried out before. Nothing was appended.
    AlreadyAppended {
        /// What happened then; with ids of `prepare` and without one of the command, what was decided now.
        events: Vec<D::Event>,
        /// The positions that they got then.
        positions: Vec<i64>,
    },
    /// There was nothing to do.
    Unchanged(D::State),
}

/// Why a command was not carried out.
#[derive(Debug)]
pub enum ExecuteError<R> {
    /// The domain said no. The transaction is as usable as before.
    Refused(R),
    /// The stream was somewhere else each time, for as many attempts as the repository makes. The transaction is as usable as before.
    Conflict(Conflict),
    /// An event came each time that the decision had not seen, for as many attempts as the repository makes. The transaction is as usable
    /// as before.
    Overtaken(Unseen),
    /// The store did not do what it was asked.
    Store(Error),
}

impl<R> ExecuteError<R> {
    /// What follows for the caller. Retrying means the whole transaction, from its beginning.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Refused(_) => Verdict::Park,
            Self::Conflict(_) | Self::Overtaken(_) => Verdict::Retry,
            Self::Store(error) => error.verdict(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Refused(_) => "Tell whoever gave the command: the same state gives the same answer.",
            Self::Conflict(_) | Self::Overtaken(_) => "Give the command again, in a new transaction.",
            Self::Store(error) => error.advice(),
        }
    }
}

impl<R: fmt::Display> fmt::Display for ExecuteError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "the command was refused: {refusal}"),
            Self::Conflict(conflict) => write!(
                f,
                "stream {} is at version {}, and {} was expected, after as many attempts as are made",
                conflict.stream, conflict.actual, conflict.expected
            ),
            Self::Overtaken(unseen) => write!(
                f,
                "the decision was overtaken, after as many attempts as are made: {unseen}"
            ),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl<R: std::error::Error + 'static> std::error::Error for ExecuteError<R> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Store(error) => Some(error),
            Self::Conflict(_) | Self::Overtaken(_) => None,
        }
    }
}

impl<R> From<Error> for ExecuteError<R> {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// Names what happened; neither states nor events, which may be personal.
impl<D: Decider> fmt::Debug for Decided<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Appended { after, positions, .. } => f
                .debug_struct("Appended")
                .field("version", &after.version)
                .field("positions", positions)
                .finish_non_exhaustive(),
            Self::AlreadyAppended {
                version, positions, ..
            } => f
                .debug_struct("AlreadyAppended")
                .field("version", version)
                .field("positions", positions)
                .finish_non_exhaustive(),
            Self::Unchanged(at) => f
                .debug_struct("Unchanged")
                .field("version", &at.version)
                .finish_non_exhaustive(),
        }
    }
}

/// Names what happened; neither states nor events, which may be personal.
impl<D: Decider> fmt::Debug for DecidedWithin<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Appended { positions, .. } => f
                .debug_struct("Appended")
                .field("positions", positions)
                .finish_non_exhaustive(),
            Self::AlreadyAppended { positions, .. } => f
                .debug_struct("AlreadyAppended")
                .field("positions", positions)
                .finish_non_exhaustive(),
            Self::Unchanged(_) => f.debug_tuple("Unchanged").finish_non_exhaustive(),
        }
    }
}
