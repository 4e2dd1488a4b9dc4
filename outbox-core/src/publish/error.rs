//! What can go wrong while publishing, and what follows.

use crate::tail;
use crate::tail::ledger::Refusal;
use crate::verdict::Verdict;

/// The kind of a publishing error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The sink cannot be reached, did not answer in time, or cannot take anything now: the outcome is unknown.
    SinkDown,
    /// The sink is set up in a way that cannot work (credentials, cluster mode, an evicting policy).
    SinkUnfit,
    /// The sink holds what this ledger does not know.
    Refused,
    /// The ledger or the log could not be read or written.
    Tail(tail::Kind),
}

/// An error of the publish stage.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    context: String,
    refusal: Option<Box<Refusal>>,
}

impl Error {
    pub(crate) fn new(kind: Kind, context: impl Into<String>) -> Self {
        Self {
            kind,
            context: context.into(),
            refusal: None,
        }
    }

    /// What was found at the sink, where that is what it is about: it is kept, since it may be gone when one looks again.
    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_deref()
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What follows from it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.kind {
            Kind::SinkDown | Kind::SinkUnfit => Verdict::Retry,
            Kind::Refused | Kind::Tail(tail::Kind::Refused | tail::Kind::Shape) => Verdict::Stop,
            Kind::Tail(_) => Verdict::Retry,
        }
    }

    /// A sentence for the operator: what to do.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self.kind {
            Kind::SinkDown => {
                "check that Redis is up, writable and has memory; everything waits and goes on by itself"
            }
            Kind::SinkUnfit => "correct REDIS_URL or the server's settings; see `outbox-relay check`",
            Kind::Refused => {
                "see `outbox-relay recover inspect`; nothing is published until a person decides (docs/recovering.md)"
            }
            Kind::Tail(kind) => kind.advice(),
        }
    }
}

impl From<tail::Error> for Error {
    fn from(error: tail::Error) -> Self {
        Self {
            kind: Kind::Tail(error.kind()),
            context: error.to_string(),
            refusal: None,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self {
            kind: Kind::Refused,
            context: refusal.to_string(),
            refusal: Some(Box::new(refusal)),
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.context)
    }
}

impl std::error::Error for Error {}
