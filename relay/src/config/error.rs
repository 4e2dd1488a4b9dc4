//! What is wrong with a configuration: every problem at once, each with where it was set and what would be right.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The flag, variable or `file: key` at fault.
    pub origin: String,
    /// What was expected and what was seen; never a secret.
    pub what: String,
}

/// Why a configuration was refused; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(pub Vec<Problem>);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "the configuration has a problem:")?,
            n => write!(f, "the configuration has {n} problems:")?,
        }
        for problem in &self.0 {
            write!(f, "\n  {}: {}", problem.origin, problem.what)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
