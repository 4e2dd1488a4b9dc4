//! Why a server is not there: what was tried, what was seen, what to do.

use std::fmt;
use std::io;

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure in one sentence, with the tail of the server's log where there is one.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    /// A failure that is told in full by its sentence.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }

    /// What was being done when the system refused.
    pub(crate) fn io(doing: impl fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self(format!("{doing}: {cause}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
