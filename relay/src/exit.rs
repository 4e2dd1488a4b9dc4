//! How a command ends: its exit code is a contract that scripts rely on.

use std::fmt;
use std::process::ExitCode;

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Success = 0,
    /// Something failed; the message says what.
    Error = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// A check failed, or what was asked about is degraded.
    Degraded = 3,
    /// Refused, because going on could lose, double or reorder events.
    Refused = 4,
    /// Some of what was asked is done.
    Partial = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What was seen, what it means, what to do; never a secret.
    pub message: String,
}

impl Failure {
    /// A failure with its code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }

    /// Plain trouble: code 1.
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Exit::Error, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<crate::config::Error> for Failure {
    fn from(error: crate::config::Error) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

impl From<crate::connect::Error> for Failure {
    fn from(error: crate::connect::Error) -> Self {
        Self::error(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::error(format!("writing the output failed: {error}"))
    }
}

impl From<outbox_core::ops::Error> for Failure {
    fn from(error: outbox_core::ops::Error) -> Self {
        // What was asked for is not what the database has: nothing was done.
        let exit = if matches!(error.code(), Some("22023" | "P0002" | "55006")) {
            Exit::Refused
        } else {
            Exit::Error
        };
        Self::new(exit, format!("{error}; {}", error.advice()))
    }
}

impl From<outbox_core::dead_letter::Error> for Failure {
    fn from(error: outbox_core::dead_letter::Error) -> Self {
        let exit = if error.is_refusal() {
            Exit::Refused
        } else {
            Exit::Error
        };
        Self::new(exit, format!("{error}; {}", error.advice()))
    }
}

impl From<outbox_core::consume::Error> for Failure {
    fn from(error: outbox_core::consume::Error) -> Self {
        let exit = match error {
            outbox_core::consume::Error::Refused { .. } => Exit::Refused,
            _ => Exit::Error,
        };
        Self::new(exit, format!("{error}; {}", error.advice()))
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::error(crate::connect::describe_sqlx(&error))
    }
}
