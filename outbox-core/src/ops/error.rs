//! Why something could not be read.

use std::fmt;

use crate::verdict::Verdict;

/// Why something could not be read.
#[derive(Debug)]
pub struct Error {
    what: String,
    code: Option<String>,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Error {
    pub(super) fn postgres(what: impl Into<String>, error: sqlx::Error) -> Self {
        let code = error
            .as_database_error()
            .and_then(|error| error.code())
            .map(|code| code.into_owned());
        Self {
            what: what.into(),
            code,
            source: Box::new(error),
        }
    }

    #[cfg(feature = "redis")]
    pub(super) fn redis(what: impl Into<String>, error: redis::RedisError) -> Self {
        let code = error.code().map(str::to_owned);
        Self {
            what: what.into(),
            code,
            source: Box::new(error),
        }
    }

    /// Reading again helps unless a right or a view is missing.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.code.as_deref() {
            Some("42501" | "42P01" | "42703" | "3F000" | "NOPERM") => Verdict::Stop,
            _ => Verdict::Retry,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self.code.as_deref() {
            Some("42501") => "grant outbox_observer (to look) or outbox_relay (to run a relay) to this user",
            Some("42P01" | "42703" | "3F000") => "bring the database to this version: outbox-relay migrate",
            Some("NOPERM") => "give this user of Redis the right to the command, and to keys with our prefix",
            Some("57014") => {
                "the server is slow or blocked; raise postgres.query_timeout or look at pg_stat_activity"
            }
            _ => "see what the server says and try again",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to read {}: {}", self.what, self.source)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.source.as_ref())
    }
}
