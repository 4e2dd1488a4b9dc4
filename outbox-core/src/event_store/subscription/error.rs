//! Why a subscription does not go on: what was seen, what it means, what to do.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::event_store;
use crate::verdict::Verdict;

/// Why a subscription does not go on. A failed handler is none of these: it is counted, tried again, and waits for a person.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be run as it was described; all problems at once.
    Configuration {
        /// Each a sentence naming the setting.
        problems: Vec<String>,
    },
    /// It reads something else than when it was run first. Events that it passed over then would be missed.
    Changed {
        /// Its name.
        name: String,
        /// What differs.
        what: String,
    },
    /// There is no such subscription, or its generation has ended.
    Gone {
        /// Its name.
        name: String,
    },
    /// A projection cannot be applied, or its tables not be made.
    Projection {
        /// Its name.
        name: String,
        /// What was seen.
        said: String,
    },
    /// Another process has the partition now. Nothing was committed.
    Fenced,
    /// The database is not the one that the checkpoint tells of, and nobody opened an era.
    WentBack {
        /// What was seen.
        said: String,
    },
    /// The database did not do what it was asked.
    Store(event_store::Error),
    /// The database did not answer in time.
    Slow {
        /// What was being done.
        doing: &'static str,
        /// How long it was waited for.
        limit: Duration,
    },
}

impl Error {
    /// What follows from it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Configuration { .. }
            | Self::Projection { .. }
            | Self::Changed { .. }
            | Self::Gone { .. }
            | Self::WentBack { .. } => Verdict::Stop,
            Self::Fenced | Self::Slow { .. } => Verdict::Retry,
            Self::Store(error) => error.verdict(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Configuration { .. } => "Correct what is named.",
            Self::Changed { .. } => {
                "Run it as it was, or give what it reads now a name of its own; a projection can be built anew beside the live one."
            }
            Self::Gone { .. } => {
                "Look at outbox_ops.subscriptions: it was never run here, or a newer generation took its place."
            }
            Self::Projection { .. } => {
                "Roll back what was begun; read what is said, and outbox_ops.projections."
            }
            Self::Fenced => "Nothing: the other process goes on.",
            Self::WentBack { .. } => {
                "Was this database restored or copied? Run outbox-relay recover inspect: an era must be opened before anything is applied."
            }
            Self::Store(event_store::Error::Database { code, .. }) if code == "42501" => {
                "Grant outbox_subscriber to the user of this connection."
            }
            Self::Store(error) => error.advice(),
            Self::Slow { .. } => {
                "Look at what the database waits for: outbox_ops.waiting_transactions, pg_stat_activity."
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration { problems } => {
                write!(f, "the subscription cannot be run: {}", problems.join("; "))
            }
            Self::Changed { name, what } => {
                write!(
                    f,
                    "subscription {name} was run with {what}: events passed over then would be missed"
                )
            }
            Self::Gone { name } => write!(f, "there is no subscription {name} in this generation"),
            Self::Projection { name, said } => write!(f, "projection {name}: {said}"),
            Self::Fenced => f.write_str("another process has this partition now; nothing was committed"),
            Self::WentBack { said } => write!(
                f,
                "the database went back in time: {said}. Events would be passed over that nobody applied"
            ),
            Self::Store(error) => error.fmt(f),
            Self::Slow { doing, limit } => write!(f, "the database did not answer within {limit:?} {doing}"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            _ => None,
        }
    }
}

impl From<event_store::Error> for Error {
    fn from(error: event_store::Error) -> Self {
        Self::Store(error)
    }
}
