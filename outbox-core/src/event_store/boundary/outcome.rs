//! Pure: what came of a conditional append.

use std::fmt;

use crate::event_store::append::Answer;
use crate::event_store::{Appended, Conflict, Error, Expected, Outcomes, StreamName};

/// What came of an append under a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "on a conflict nothing was appended"]
pub enum Conditional {
    /// All events are in their streams when the transaction commits; one answer per stream, in the order of the call.
    Appended(Vec<Appended>),
    /// The same events, by id, are in these streams from before. The condition was not looked at.
    AlreadyAppended(Vec<Appended>),
    /// An event of the condition is there that the read did not see. Nothing was appended; the transaction is as usable as before.
    Unmet(Unseen),
    /// These streams are not where they were expected. Nothing was appended to any.
    Conflict(Vec<Conflict>),
}

/// The first event of a condition that the read before a decision did not see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// Its place in the log.
    pub position: i64,
    /// Its type.
    pub event_type: String,
}

impl Conditional {
    /// Of what was asked and what was answered, both in the order of the call.
    pub(super) fn of(
        asked: Vec<(StreamName, Expected)>,
        answers: Vec<Answer>,
        unseen: Option<Unseen>,
    ) -> Result<Self, Error> {
        if let Some(unseen) = unseen {
            return Ok(Self::Unmet(unseen));
        }
        Ok(match Outcomes::of(asked, answers)? {
            Outcomes::Appended(appended) => Self::Appended(appended),
            Outcomes::AlreadyAppended(appended) => Self::AlreadyAppended(appended),
            Outcomes::Conflict(conflicts) => Self::Conflict(conflicts),
        })
    }
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the read did not see {} at position {}",
            self.event_type, self.position
        )
    }
}
