//! Why dead letters could not be read, or why what was asked for was not done.

use std::fmt;

use crate::verdict::Verdict;

/// Why dead letters could not be read, or why what was asked for was not done.
#[derive(Debug)]
pub struct Error {
    what: String,
    code: Option<String>,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Error {
    pub(super) fn postgres(doing: &str, error: sqlx::Error) -> Self {
        // The message alone: the details of an error may quote values.
        let (code, said) = match error.as_database_error() {
            Some(said) => (
                said.code().map(|code| code.into_owned()),
                said.message().to_owned(),
            ),
            None => (None, error.to_string()),
        };
        Self {
            what: format!("{doing}: {said}"),
            code,
            source: Box::new(error),
        }
    }

    pub(super) fn unreadable(doing: &str, error: serde_json::Error) -> Self {
        Self {
            what: format!("{doing}: the database answered in another form: {error}"),
            code: None,
            source: Box::new(error),
        }
    }

    /// The server's SQLSTATE.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Nothing was done, because what was asked for must not or cannot be.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self.code(), Some("22023" | "22P02" | "22007" | "22008" | "55000"))
    }

    /// Nothing was done, because nothing matches.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.code() == Some("P0002")
    }

    /// Trying again helps unless a right or a function is missing or what was asked for is not possible.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.code() {
            Some("42501" | "42P01" | "42703" | "42883" | "3F000") => Verdict::Stop,
            _ if self.is_refusal() || self.is_nothing() => Verdict::Stop,
            _ => Verdict::Retry,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self.code() {
            Some("42501") => {
                "grant outbox_operator to this user (to put back, edit, discard and read whole), or outbox_observer (to look)"
            }
            Some("42P01" | "42703" | "42883" | "3F000") => {
                "bring the consumer's database to this version: outbox-relay migrate --inbox"
            }
            Some("22023" | "22P02" | "22007" | "22008") => "nothing was changed; correct what it names",
            Some("55000") => {
                "nothing was changed; look at its state first: outbox-relay dead-letters show, or operation show"
            }
            Some("P0002") => "nothing was changed; outbox-relay dead-letters groups shows what is there",
            Some("40P01" | "55P03" | "40001") => "a member was applying events of that key; try again",
            Some("57014") => {
                "the server is slow or blocked; raise postgres.query_timeout or narrow the selection"
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
