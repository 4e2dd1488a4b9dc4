//! Why something could not be read or changed.

use std::fmt;

use crate::verdict::Verdict;

/// Why something could not be read or changed.
#[derive(Debug)]
pub struct Error {
    what: String,
    code: Option<String>,
    is_of_projection: bool,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Error {
    pub(super) fn postgres(what: impl Into<String>, error: sqlx::Error) -> Self {
        Self::of(format!("failed to read {}", what.into()), error)
    }

    pub(super) fn changing(what: impl Into<String>, error: sqlx::Error) -> Self {
        Self::of(format!("failed to change {}", what.into()), error)
    }

    fn of(what: String, error: sqlx::Error) -> Self {
        // The message alone: the details of an error may quote values.
        let (code, said) = match error.as_database_error() {
            Some(said) => (
                said.code().map(|code| code.into_owned()),
                said.message().to_owned(),
            ),
            None => (None, error.to_string()),
        };
        Self {
            what: format!("{what}: {said}"),
            code,
            is_of_projection: false,
            source: Box::new(error),
        }
    }

    /// What it says to do is about projections, and not about topics.
    pub(super) fn of_projection(self) -> Self {
        Self {
            is_of_projection: true,
            ..self
        }
    }

    #[cfg(feature = "redis")]
    pub(super) fn redis(what: &str, error: redis::RedisError) -> Self {
        let code = error.code().map(str::to_owned);
        Self {
            what: format!("failed to ask Redis for {what}: {error}"),
            code,
            is_of_projection: false,
            source: Box::new(error),
        }
    }

    /// The server's code: an SQLSTATE, or the first word of what Redis answered.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Trying again helps unless a right or a view is missing or what was asked for is not possible.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.code() {
            Some(
                "42501" | "42P01" | "42703" | "42883" | "3F000" | "NOPERM" | "P0002" | "22023" | "23503"
                | "23514" | "55006",
            ) => Verdict::Stop,
            _ => Verdict::Retry,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self.code() {
            Some("42501") if self.is_of_projection => {
                "grant outbox_observer (to look) or outbox_operator (to decide) to this user"
            }
            Some("P0002") if self.is_of_projection => {
                "outbox-relay projection ls shows which there are, and what is being built"
            }
            Some("55006") => {
                "wait for it (outbox-relay projection show NAME --watch), or end it (projection cancel NAME)"
            }
            Some("42501") => {
                "grant outbox_observer (to look), outbox_relay (to run a relay) or outbox_maintainer (to change) to this user"
            }
            Some("42P01" | "42703" | "42883" | "3F000") => {
                "bring the database to this version: outbox-relay migrate"
            }
            Some("NOPERM") => "give this user of Redis the right to the command, and to keys with our prefix",
            Some("57014") => {
                "the server is slow or blocked; raise postgres.query_timeout or look at pg_stat_activity"
            }
            Some("P0002" | "22023") => {
                "outbox-relay topic list shows which streams wait, and at which event; --partition names one"
            }
            Some("23503") => {
                "retention must be a class in outbox.retention_class: standard, audit, durable or one of yours"
            }
            Some("23514") => {
                "names are 1 to 200 of A-Z a-z 0-9 . _ -, and a topic has 1 to 1024 partitions, never fewer than before"
            }
            _ => "see what the server says and try again",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.source.as_ref())
    }
}
