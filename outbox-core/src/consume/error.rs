//! Why a consumer does not go on: what was seen, what it means, what to do.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::verdict::Verdict;

pub(super) type Source = Box<dyn StdError + Send + Sync>;

/// Why a consumer does not go on. A failed handler is none of these: it is counted, tried again and given up.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The consumer cannot be built as it was described; all problems at once.
    Configuration {
        /// Each a sentence naming the setting.
        problems: Vec<String>,
    },
    /// The inbox of the handler's database is not what this library needs.
    Schema {
        /// The version found; none when there is no inbox.
        found: Option<i64>,
        /// The version needed.
        needed: i64,
    },
    /// What was applied differs from what this library embeds, or could not be read.
    Migrations {
        /// What the migrations say.
        source: outbox_migrations::Error,
    },
    /// The SQL function of a consumer without code is not there.
    NoFunction {
        /// Its signature.
        signature: String,
    },
    /// The SQL function of a consumer without code is not marked as one that writes.
    NotVolatile {
        /// Its signature.
        signature: String,
    },
    /// Postgres did not do what it was asked.
    Postgres {
        /// What was being done.
        doing: &'static str,
        /// SQLSTATE, when the server answered.
        code: Option<String>,
        /// What was said.
        source: Source,
    },
    /// Redis did not do what it was asked.
    Redis {
        /// What was being done.
        doing: &'static str,
        /// The first word of Redis' answer, when it answered.
        code: Option<String>,
        /// What was said.
        source: Source,
    },
    /// A server did not answer in time.
    Slow {
        /// What was being done.
        doing: &'static str,
        /// How long it was waited for.
        limit: Duration,
    },
    /// Another member applies this stream now.
    Fenced,
    /// The producer's log could not be read.
    Log {
        /// What the tail says.
        source: crate::tail::Error,
    },
    /// What an operator asked for is refused; nothing was changed.
    Refused {
        /// Why, and what can be done.
        said: String,
    },
    /// What an operator asked for was begun and not finished.
    Unfinished {
        /// What is done, and what was in the way.
        said: String,
    },
    /// A task of this consumer ended as it never should.
    Broken {
        /// How.
        source: Source,
    },
}

impl Error {
    /// What follows from it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Postgres { .. } | Self::Redis { .. } | Self::Slow { .. } | Self::Fenced => Verdict::Retry,
            Self::Log { source } => source.verdict(),
            Self::Configuration { .. }
            | Self::Schema { .. }
            | Self::Migrations { .. }
            | Self::NoFunction { .. }
            | Self::NotVolatile { .. }
            | Self::Refused { .. }
            | Self::Unfinished { .. }
            | Self::Broken { .. } => Verdict::Stop,
        }
    }

    /// What an operator does about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Configuration { .. } => "Correct the settings named.",
            Self::Schema { .. } => "Run `outbox-relay migrate --inbox` on the consumer's database.",
            Self::Migrations { source } => source.advice(),
            Self::NoFunction { .. } => "Create the function, or grant the consumer usage of its schema.",
            Self::NotVolatile { .. } => "`alter function … volatile`, and start the consumer again.",
            Self::Postgres { code, .. } => postgres_advice(code.as_deref()),
            Self::Redis { code, .. } => redis_advice(code.as_deref()),
            Self::Slow { .. } => "Look at the server and the network; the consumer tries again by itself.",
            Self::Fenced => "Nothing: the other member goes on where this one stopped.",
            Self::Log { source } => source.advice(),
            Self::Refused { .. } => "Nothing was changed.",
            Self::Unfinished { .. } => "Run it again: it goes on where it stopped.",
            Self::Broken { .. } => "Restart the consumer and report the message: this is a defect.",
        }
    }

    /// Whether another transaction was in the way of a statement of ours: in a circle, or for longer than the server lets a
    /// statement wait. The same again may succeed.
    pub(super) fn is_conflict(&self) -> bool {
        let ours = ["40001", "40P01", "57014"];
        matches!(self, Self::Postgres { code: Some(code), .. } if ours.contains(&code.as_str()))
    }

    /// Whether the server refused this one statement. Otherwise the next one may wait just as long for nothing.
    pub(super) fn is_answered(&self) -> bool {
        matches!(self, Self::Postgres { code: Some(_), .. })
    }

    /// Whether the consumer group is gone from its stream.
    pub(super) fn is_group_lost(&self) -> bool {
        matches!(self, Self::Redis { code: Some(code), .. } if code == "NOGROUP" || code == "UNBLOCKED")
    }
}

impl From<crate::tail::Error> for Error {
    fn from(source: crate::tail::Error) -> Self {
        Self::Log { source }
    }
}

fn postgres_advice(code: Option<&str>) -> &'static str {
    match code {
        Some("42501") => "Grant role outbox_consumer, and what the handler needs, to the consumer's login.",
        Some(code) if code.starts_with("28") => "Check the consumer's login and password.",
        Some("53300") => {
            "Raise max_connections or use fewer connections; the consumer tries again by itself."
        }
        _ => "Look at the database's log; the consumer tries again by itself.",
    }
}

fn redis_advice(code: Option<&str>) -> &'static str {
    match code {
        Some("WRONGTYPE") => {
            "Something else lies under the stream's key: move it away, or use another prefix."
        }
        Some("NOPERM") => "Allow the consumer's Redis user the stream commands on the prefix.",
        Some("NOAUTH" | "WRONGPASS") => "Check the consumer's Redis user and password.",
        Some("READONLY") => "This is a replica: point the consumer at the primary.",
        _ => "Look at Redis; the consumer tries again by itself.",
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration { problems } => {
                write!(f, "the consumer is misconfigured: {}", problems.join("; "))
            }
            Self::Schema { found: None, needed } => {
                write!(f, "this database has no inbox, version {needed} is needed")
            }
            Self::Schema {
                found: Some(found),
                needed,
            } => {
                write!(
                    f,
                    "the inbox of this database is at version {found}, version {needed} is needed"
                )
            }
            Self::Migrations { source } => source.fmt(f),
            Self::NoFunction { signature } => {
                write!(f, "there is no function {signature} that this login can see")
            }
            Self::NotVolatile { signature } => write!(
                f,
                "function {signature} is marked stable or immutable: called for several events by one statement it would not see what it did for \
                 those before"
            ),
            Self::Postgres { doing, source, .. } => write!(f, "Postgres failed {doing}: {source}"),
            Self::Redis { doing, source, .. } => write!(f, "Redis failed {doing}: {source}"),
            Self::Slow { doing, limit } => write!(f, "no answer within {} s {doing}", limit.as_secs_f64()),
            Self::Fenced => f.write_str("another member of the group took this stream over"),
            Self::Log { source } => write!(f, "the producer's log cannot be read: {source}"),
            Self::Refused { said } | Self::Unfinished { said } => f.write_str(said),
            Self::Broken { source } => write!(f, "a task of the consumer ended by itself: {source}"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Migrations { source } => Some(source),
            Self::Log { source } => Some(source),
            Self::Postgres { source, .. } | Self::Redis { source, .. } | Self::Broken { source } => {
                Some(&**source)
            }
            _ => None,
        }
    }
}
