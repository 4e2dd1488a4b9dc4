//! Why bytes are no event. All of these are facts of the entry: reading it again gives the same answer.

use std::fmt;

use crate::verdict::Verdict;

/// An entry could not be read as an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What is wrong with it.
    pub kind: ErrorKind,
}

/// What is wrong with an entry. None of these carries a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The bytes are not one JSON object.
    NotJson {
        /// Where reading stopped.
        place: String,
    },
    /// The entry has neither a field `event` nor fields `ce_…`.
    NotAnEvent,
    /// A field that every event must have is not there.
    Missing {
        /// Its name on the wire.
        field: &'static str,
    },
    /// A field comes twice, or two fields exclude each other.
    Twice {
        /// Its name on the wire.
        field: String,
    },
    /// A field breaks a rule.
    Unfit {
        /// Its name on the wire.
        field: String,
        /// The rule and what was seen.
        rule: String,
    },
    /// The event is of another version of CloudEvents.
    SpecVersion {
        /// The version it names, at most its first 20 characters.
        seen: String,
    },
}

impl Error {
    /// What follows: the entry will never become readable, so it is set aside.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::Park
    }

    /// What an operator does about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self.kind {
            ErrorKind::NotJson { .. } | ErrorKind::NotAnEvent => {
                "Find who else writes to this stream; only CloudEvents 1.0 in structured or binary mode belong on it."
            }
            ErrorKind::Missing { .. } | ErrorKind::Twice { .. } | ErrorKind::Unfit { .. } => {
                "Have the producer of this event correct the field; discard or edit the dead letter."
            }
            ErrorKind::SpecVersion { .. } => "Have the producer write CloudEvents 1.0.",
        }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ErrorKind::NotJson { place } => {
                write!(f, "event: must be one JSON object in UTF-8, is not: {place}")
            }
            ErrorKind::NotAnEvent => {
                f.write_str("entry: must have a field `event` or fields `ce_…`, has neither")
            }
            ErrorKind::Missing { field } => write!(f, "{field}: must be present, is missing"),
            ErrorKind::Twice { field } => write!(f, "{field}: must come once, comes twice"),
            ErrorKind::Unfit { field, rule } => write!(f, "{field}: {rule}"),
            ErrorKind::SpecVersion { seen } => write!(f, "specversion: must be 1.0, got {seen:?}"),
        }
    }
}

impl std::error::Error for Error {}
