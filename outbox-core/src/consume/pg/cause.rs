//! Pure: whose doing it is that the database refused something.

use std::error::Error as StdError;

/// What the database had to do with a handler's error.
pub(in crate::consume) enum Cause {
    /// Nothing, or it refused a statement with this SQLSTATE.
    Handler(Option<String>),
    /// Two transactions met: the same attempt may succeed at once.
    Conflict,
    /// The server or the connection is gone: no fault of the handler.
    Outage,
}

/// Finds the database's part in a handler's error.
pub(in crate::consume) fn cause_of(error: &(dyn StdError + 'static)) -> Cause {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<sqlx::Error>() {
            return match error {
                sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Cause::Outage,
                sqlx::Error::Database(error) => match error.code() {
                    Some(code) => cause_of_code(&code),
                    None => Cause::Handler(None),
                },
                _ => Cause::Handler(None),
            };
        }
        next = error.source();
    }
    Cause::Handler(None)
}

/// Whose doing a refusal with this SQLSTATE is.
pub(in crate::consume) fn cause_of_code(code: &str) -> Cause {
    match code {
        "40001" | "40P01" => Cause::Conflict,
        _ if ["08", "53", "57P"].iter().any(|class| code.starts_with(class)) => Cause::Outage,
        _ => Cause::Handler(Some(code.to_owned())),
    }
}
