//! Why the event store did not do what it was asked, and what follows for the caller's transaction.

use std::error::Error as StdError;
use std::fmt;

use super::StreamName;
use super::typed::Unreadable;
use crate::append;
use crate::verdict::Verdict;

/// SQLSTATE of a cursor that does not fit.
const MISFIT: &str = "OB410";

pub(super) type Source = Box<dyn StdError + Send + Sync>;

/// The event store did not do what it was asked. A conflict of versions is no error: it is an outcome.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The request breaks a rule; nothing was sent, the transaction is as usable as before.
    Refused {
        /// What was seen, and the rule.
        said: String,
    },
    /// An event breaks a rule of appending, or the database refused it.
    Append(append::Error),
    /// The database refused a statement; the transaction is aborted. Its details are left out on purpose: Postgres quotes rows there.
    Database {
        /// What was being done.
        doing: &'static str,
        /// SQLSTATE.
        code: String,
        /// The primary message.
        message: String,
    },
    /// The connection failed; whether the statement ran is unknown.
    Connection {
        /// What was being done.
        doing: &'static str,
        /// What was said.
        source: Source,
    },
    /// A stored event is of no type and version that the program knows, or of another shape. It was not passed over.
    Unreadable(Box<Unreadable>),
    /// What is sealed cannot be opened, or something cannot be sealed: a key is missing, or it was changed. What was forgotten is
    /// no error: [`forget::Opened`](super::forget::Opened).
    Sealed {
        /// What was found; never a key.
        said: String,
    },
    /// A file of exported streams cannot be written, or is not what it must be.
    File {
        /// The line, from 1 on.
        line: u64,
        /// What is wrong with it; never what it says.
        said: String,
    },
    /// The cursor does not fit: it is of another era or server, of another read, or not of what this transaction sees. The transaction
    /// is aborted.
    Cursor {
        /// What is the matter.
        said: String,
    },
    /// The stream was given a tombstone: its events are gone, and it takes no more.
    Gone {
        /// The stream.
        stream: StreamName,
    },
    /// A row is not of the shape that this version knows.
    Shape {
        /// What was being done.
        doing: &'static str,
        /// What was found.
        said: String,
    },
}

impl Error {
    pub(super) fn refused(said: impl Into<String>) -> Self {
        Self::Refused { said: said.into() }
    }

    /// What the database said: of a cursor, or of anything else.
    pub(super) fn database(doing: &'static str, code: &str, message: &str) -> Self {
        if code == MISFIT {
            return Self::Cursor {
                said: message.to_owned(),
            };
        }
        Self::Database {
            doing,
            code: code.to_owned(),
            message: message.to_owned(),
        }
    }

    pub(super) fn sealed(said: impl Into<String>) -> Self {
        Self::Sealed { said: said.into() }
    }

    pub(super) fn shape(doing: &'static str, said: impl fmt::Display) -> Self {
        Self::Shape {
            doing,
            said: said.to_string(),
        }
    }

    /// What follows for the caller. Retrying means the whole transaction, from its beginning.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Refused { .. } | Self::File { .. } | Self::Cursor { .. } | Self::Gone { .. } => {
                Verdict::Park
            }
            Self::Append(error) => error.verdict(),
            Self::Database { code, .. } => append::verdict_of(code),
            Self::Connection { .. } => Verdict::Retry,
            Self::Unreadable(unreadable) => unreadable.verdict(),
            Self::Sealed { .. } | Self::Shape { .. } => Verdict::Stop,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "Correct what is named and call again; the transaction is still usable.",
            Self::Append(error) => error.advice(),
            Self::Database { code, .. } => match (code.as_str(), self.verdict()) {
                ("42501", _) => {
                    "Grant outbox_producer to the user of this connection to append, and outbox_reader to read."
                }
                ("3F000" | "42883" | "42P01" | "42703", _) => "Run outbox-relay migrate on this database.",
                ("0A000", _) => "Append in a READ COMMITTED transaction.",
                ("23505", _) => {
                    "Some of these event ids are in the log already: give each command ids of its own."
                }
                ("25006", _) => "Read on the primary.",
                ("55000", _) => {
                    "Read the message: it says what is in the way, and what to do. Where a stream takes no more events, append to one of another name."
                }
                (_, Verdict::Retry) => "Repeat the whole transaction.",
                _ => "Read the message; the transaction is aborted.",
            },
            Self::Connection { .. } => {
                "Repeat the whole transaction with the same event ids on a new connection: what was committed is not \
                 appended again."
            }
            Self::Unreadable(unreadable) => unreadable.advice(),
            Self::Sealed { .. } => {
                "Give the keyring every master key that is in use (outbox.subject_key.master_key). What was changed stays unreadable."
            }
            Self::File { .. } => {
                "Export it again, or import it where these streams are not there. What was appended before stays, and is not \
                 appended again."
            }
            Self::Cursor { .. } => {
                "Go on from a cursor of this database as it is now, with the categories and types that it was read with, or read again \
                 from the beginning."
            }
            Self::Gone { .. } => {
                "Who buried it, and why, is in outbox.stream_step. What goes on has a stream of another name."
            }
            Self::Shape { .. } => "Compare the versions of library and migrations: outbox-relay check.",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { said } => write!(f, "refused: {said}"),
            Self::Append(error) => error.fmt(f),
            Self::Unreadable(unreadable) => unreadable.fmt(f),
            Self::Sealed { said } => write!(f, "sealed: {said}"),
            Self::File { line, said } => write!(f, "line {line} of the file: {said}"),
            Self::Cursor { said } => f.write_str(said),
            Self::Gone { stream } => write!(f, "stream {stream} is gone: it was given a tombstone"),
            Self::Database { doing, code, message } => {
                write!(f, "the database refused {doing}: {message} ({code})")
            }
            Self::Connection { doing, source } => write!(f, "the connection failed {doing}: {source}"),
            Self::Shape { doing, said } => write!(f, "not understood {doing}: {said}"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Append(error) => Some(error),
            Self::Unreadable(unreadable) => Some(&**unreadable),
            Self::Connection { source, .. } => Some(&**source),
            _ => None,
        }
    }
}

impl From<append::Error> for Error {
    fn from(error: append::Error) -> Self {
        Self::Append(error)
    }
}
