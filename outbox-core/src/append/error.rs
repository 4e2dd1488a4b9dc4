//! Why an append failed, and what follows for the caller's transaction.

use std::error::Error as StdError;
use std::fmt;

use super::refuse::Refusal;
use crate::verdict::Verdict;

/// An append failed.
#[derive(Debug)]
pub struct Error {
    /// What happened.
    pub kind: ErrorKind,
}

/// What happened to an append. Details of a database error are left out on purpose: Postgres quotes the row in them.
#[derive(Debug)]
pub enum ErrorKind {
    /// An event breaks a rule; nothing was sent, the transaction is as usable as before.
    Refused(Refusal),
    /// The database refused the statement; the transaction is aborted.
    Database {
        /// SQLSTATE.
        code: String,
        /// The primary message.
        message: String,
    },
    /// The connection failed or the answer was not understood; whether the statement ran is unknown.
    Connection(Box<dyn StdError + Send + Sync>),
    /// The function appended another number of events than were sent: it is not the one that this library knows.
    Count {
        /// Events sent.
        sent: usize,
        /// Events appended, as the database says.
        appended: i64,
    },
}

impl Error {
    pub(super) fn refused(refusal: Refusal) -> Self {
        Self {
            kind: ErrorKind::Refused(refusal),
        }
    }

    pub(super) fn database(code: &str, message: &str) -> Self {
        Self {
            kind: ErrorKind::Database {
                code: code.to_owned(),
                message: message.to_owned(),
            },
        }
    }

    pub(super) fn connection(error: impl StdError + Send + Sync + 'static) -> Self {
        Self {
            kind: ErrorKind::Connection(Box::new(error)),
        }
    }

    /// The database counted another number of events than were sent.
    pub(super) fn expect_count(sent: usize, appended: i64) -> Result<(), Self> {
        if usize::try_from(appended) == Ok(sent) {
            return Ok(());
        }
        Err(Self {
            kind: ErrorKind::Count { sent, appended },
        })
    }

    /// What follows for the caller. Retrying means the whole transaction, from its beginning.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match &self.kind {
            ErrorKind::Refused(_) => Verdict::Park,
            ErrorKind::Database { code, .. } => of_sqlstate(code),
            ErrorKind::Connection(_) => Verdict::Retry,
            ErrorKind::Count { .. } => Verdict::Stop,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match &self.kind {
            ErrorKind::Refused(_) => "Correct the field and append again; the transaction is still usable.",
            ErrorKind::Connection(_) => {
                "Repeat the whole transaction on a new connection; a lost one was rolled back, \
                                         unless it was lost during the commit."
            }
            ErrorKind::Count { .. } => "Compare the versions of library and migrations: outbox-relay check.",
            ErrorKind::Database { code, .. } => match (code.as_str(), of_sqlstate(code)) {
                ("23505", _) => "This event id is in the log already: the work was done before. Roll back.",
                ("22023", _) => {
                    "Correct the field that the message names; where it is the payload's size, set Limits to \
                                 outbox.settings.payload_limit_bytes."
                }
                ("42501", _) => "Grant the role outbox_producer to the user of this connection.",
                ("3F000" | "42883" | "42P01", _) => "Run outbox-relay migrate on this database.",
                (_, Verdict::Retry) => "Repeat the whole transaction.",
                _ => "Read the message; the transaction is aborted.",
            },
        }
    }
}

/// Only causes that are known to pass are retried.
pub(crate) fn of_sqlstate(code: &str) -> Verdict {
    match code {
        // This one event: id already there, a rule of the log, a value that the database cannot hold (class 22).
        "23505" | "23514" => Verdict::Park,
        _ if code.starts_with("22") => Verdict::Park,
        // Serialisation failure, deadlock, lock not available, statement cancelled, read-only after a failover.
        "40001" | "40P01" | "55P03" | "57014" | "25006" => Verdict::Retry,
        // Connection lost, resources short, server shutting down or starting.
        _ if ["08", "53", "57P"].iter().any(|class| code.starts_with(class)) => Verdict::Retry,
        _ => Verdict::Stop,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ErrorKind::Refused(refusal) => {
                write!(f, "event {} of the call refused: {refusal}", refusal.index + 1)
            }
            ErrorKind::Database { code, message } => {
                write!(f, "the database refused the append: {message} ({code})")
            }
            ErrorKind::Connection(error) => write!(f, "the connection failed during the append: {error}"),
            ErrorKind::Count { sent, appended } => {
                write!(
                    f,
                    "{sent} events were sent but the database says that it appended {appended}: a trigger on outbox.log takes rows away"
                )
            }
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.kind {
            ErrorKind::Connection(error) => Some(&**error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_causes_are_retried() {
        for (code, verdict) in [
            ("23505", Verdict::Park),
            ("22023", Verdict::Park),
            ("22P02", Verdict::Park),
            ("40001", Verdict::Retry),
            ("57P01", Verdict::Retry),
            ("08006", Verdict::Retry),
            ("42501", Verdict::Stop),
            ("42883", Verdict::Stop),
            ("XX000", Verdict::Stop),
        ] {
            assert_eq!(Error::database(code, "").verdict(), verdict, "{code}");
        }
    }

    #[test]
    fn another_count_is_an_error() {
        assert!(Error::expect_count(2, 2).is_ok());
        let error = Error::expect_count(2, -1).expect_err("differs");
        assert_eq!(error.verdict(), Verdict::Stop);
    }
}
