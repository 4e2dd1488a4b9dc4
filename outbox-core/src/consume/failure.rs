//! One failed attempt, as it is recorded. Pure.

use std::any::Any;
use std::error::Error as StdError;
use std::time::Duration;

use super::handler::HandlerError;
use crate::event::{self, Event};

/// What an id and a source may have so that the inbox's index takes them; no CloudEvents producer comes near.
const NAME_MAX: usize = 1024;

/// Longer texts are cut: an error is read by people.
const TEXT_MAX: usize = 4000;

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A stable word for views and labels: `handler`, `payload`, `panic`, `timeout`, `unreadable` or an SQLSTATE.
    pub class: String,
    /// The error with its causes.
    pub text: String,
    /// Trying again cannot help.
    pub permanent: bool,
}

impl Failure {
    /// The handler said no.
    #[must_use]
    pub fn of_handler(error: &HandlerError, sql_state: Option<String>) -> Self {
        Self {
            class: sql_state.unwrap_or_else(|| error.class().to_owned()),
            text: chain(error.cause()),
            permanent: error.is_permanent(),
        }
    }

    /// The handler panicked.
    #[must_use]
    pub fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let said = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("without a message");
        Self {
            class: "panic".to_owned(),
            text: cut(format!("the handler panicked: {said}")),
            permanent: false,
        }
    }

    /// The handler took too long.
    #[must_use]
    pub fn of_timeout(limit: Duration) -> Self {
        Self {
            class: "timeout".to_owned(),
            text: format!("the handler did not answer within {} s", limit.as_secs_f64()),
            permanent: false,
        }
    }

    /// The entry is no event.
    #[must_use]
    pub fn of_entry(error: &event::Error) -> Self {
        Self {
            class: "unreadable".to_owned(),
            text: chain(error),
            permanent: true,
        }
    }
}

impl Failure {
    /// Why the inbox cannot take the event, if it cannot: Postgres has no NUL in texts and a limit on indexed ones.
    #[must_use]
    pub fn of_unfit(event: &Event) -> Option<Self> {
        let texts = [
            ("id", &event.id),
            ("source", &event.source),
            ("type", &event.r#type),
        ];
        let key = event.key.as_ref().map(|key| ("partitionkey", key));
        let problem = texts.into_iter().chain(key).find_map(|(name, text)| {
            if text.contains('\0') {
                Some(format!("{name}: must not contain a NUL"))
            } else if text.len() > NAME_MAX {
                Some(format!(
                    "{name}: must be at most {NAME_MAX} bytes, has {}",
                    text.len()
                ))
            } else {
                None
            }
        })?;
        Some(Self {
            class: "unreadable".to_owned(),
            text: problem,
            permanent: true,
        })
    }
}

/// An error with its causes, each said once.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    cut(text)
}

/// Postgres takes no NUL in a text.
fn cut(mut text: String) -> String {
    text.retain(|c| c != '\0');
    text.truncate(text.floor_char_boundary(TEXT_MAX));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once() {
        let error = HandlerError::from(std::io::Error::other("the disk is full"));
        let failure = Failure::of_handler(&error, None);
        assert_eq!(failure.class, "handler");
        assert_eq!(failure.text, "the disk is full");
        assert!(!failure.permanent);
        assert!(Failure::of_handler(&error.permanent(), Some("23505".to_owned())).permanent);
    }

    #[test]
    fn a_text_is_cut_at_a_character_and_holds_no_nul() {
        let failure = Failure::of_handler(&HandlerError::new(format!("\0{}", "é".repeat(TEXT_MAX))), None);
        assert_eq!(failure.text.len(), TEXT_MAX);
        assert!(!failure.text.contains('\0'));
    }

    #[test]
    fn what_the_inbox_cannot_take_is_named() {
        assert_eq!(
            Failure::of_unfit(&Event::new("1", "/shop", "orders.placed")),
            None
        );
        let nul = Failure::of_unfit(&Event::new("1\0", "/shop", "orders.placed")).map(|failure| failure.text);
        assert_eq!(nul.as_deref(), Some("id: must not contain a NUL"));
        let long = Event::new("1", "s".repeat(NAME_MAX + 1), "orders.placed");
        assert!(Failure::of_unfit(&long).is_some_and(|failure| failure.permanent));
    }

    #[test]
    fn a_panic_is_told_by_its_message() {
        assert_eq!(Failure::of_panic(&"boom").text, "the handler panicked: boom");
        assert_eq!(
            Failure::of_panic(&7).text,
            "the handler panicked: without a message"
        );
    }
}
