//! Why a test failed: any error, with the line where `?` met it.

use std::fmt;
use std::panic::Location;

/// What tests and the harness return.
pub type Result<T = ()> = std::result::Result<T, Failure>;

/// Any error, its causes and the place where it was met.
pub struct Failure {
    message: String,
    place: &'static Location<'static>,
}

impl Failure {
    /// A failure told by its sentence.
    #[track_caller]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            place: Location::caller(),
        }
    }
}

// Not an `Error` itself, or the conversion below would overlap with the one of every type to itself.
impl<E: std::error::Error> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.contains(&text) {
                message += ": ";
                message += &text;
            }
            cause = error.source();
        }
        Self {
            message,
            place: Location::caller(),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n    at {}", self.message, self.place)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
