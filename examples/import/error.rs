//! Why an import ended before the end of its file.

use std::error::Error as StdError;
use std::fmt;

use outbox_core::append;

/// Why an import ended. Everything before that point is imported.
#[derive(Debug)]
pub enum Error {
    /// The options do not go together; every problem at once.
    Usage(Vec<String>),
    /// The file cannot be read.
    Read(std::io::Error),
    /// A record cannot be an event, and bad lines were to end the import.
    BadLine {
        /// Its line, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// This is not the file, or not the mapping, that the import was begun with; or it runs twice.
    Refused(String),
    /// The database did not take it.
    Database(sqlx::Error),
    /// The append failed for a reason that is not the event's.
    Append(append::Error),
}

impl Error {
    /// 1 error, 2 usage, 4 refused for safety.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Refused(_) => 4,
            Self::Read(_) | Self::BadLine { .. } | Self::Database(_) | Self::Append(_) => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(problems) => f.write_str(&problems.join("\nimport: ")),
            Self::Read(error) => write!(f, "the input cannot be read: {error}"),
            Self::BadLine { line, why } => write!(
                f,
                "line {line}: {why}. The lines before it are imported; mend it and run again, or add --bad-lines skip"
            ),
            Self::Refused(why) => f.write_str(why),
            Self::Database(error) => write!(
                f,
                "the database failed: {error}. Run again: the import goes on where it was"
            ),
            Self::Append(error) => write!(f, "{error}. {}", error.advice()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            Self::Database(error) => Some(error),
            Self::Append(error) => Some(error),
            Self::Usage(_) | Self::BadLine { .. } | Self::Refused(_) => None,
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Read(error)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}
