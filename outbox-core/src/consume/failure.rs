//! One failed attempt, as it is recorded. Pure.

use std::any::Any;
use std::error::Error as StdError;
use std::time::Duration;

use super::failure_kind::FailureKind;
use super::handler::HandlerError;
use crate::dead_letter::ENTRY_BYTES_MAX;
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
    /// What follows from it.
    pub kind: FailureKind,
}

impl Failure {
    /// The handler said no.
    #[must_use]
    pub fn of_handler(error: &HandlerError, sql_state: Option<String>) -> Self {
        let raised = sql_state.as_deref().and_then(kind_of_state);
        Self {
            kind: raised.unwrap_or_else(|| error.kind()),
            class: sql_state.unwrap_or_else(|| error.class().to_owned()),
            text: chain(error.cause()),
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
            kind: FailureKind::Transient,
        }
    }

    /// The handler took too long.
    #[must_use]
    pub fn of_timeout(limit: Duration) -> Self {
        Self {
            class: "timeout".to_owned(),
            text: format!("the handler did not answer within {} s", limit.as_secs_f64()),
            kind: FailureKind::Transient,
        }
    }

    /// The database refused the commit for what a handler had left behind.
    pub(super) fn of_commit(code: &str, error: &(dyn StdError + 'static)) -> Self {
        Self {
            class: code.to_owned(),
            text: chain(error),
            kind: FailureKind::Transient,
        }
    }

    /// The entry is no event.
    #[must_use]
    pub fn of_entry(error: &event::Error) -> Self {
        Self {
            class: "unreadable".to_owned(),
            text: chain(error),
            kind: FailureKind::Unreadable,
        }
    }

    /// The entry looks like one of the relay's own that end a generation of partitions.
    pub(super) fn of_pretender() -> Self {
        Self {
            class: "unreadable".to_owned(),
            text: "it says that the topic moved on to more partitions, as only the relay may, and it is not the relay's next such entry \
                   in the chain of this stream. Nothing waits for it; find who else writes to the stream, and discard it"
                .to_owned(),
            kind: FailureKind::Unreadable,
        }
    }
}

impl Failure {
    /// What is down, as the handler named it, without what it said of the reason.
    #[must_use]
    pub fn dependency(&self) -> &str {
        match self.text.split_once(':') {
            Some((name, _)) if self.class == "dependency" => name,
            _ => &self.class,
        }
    }

    /// The same as an attempt like others: what is down is so for this event alone.
    #[must_use]
    pub(super) fn counted(self) -> Self {
        let text = format!(
            "the handler says that a dependency is down, and it is not for other events of this type: {}",
            self.text
        );
        Self {
            text: cut(text),
            kind: FailureKind::Transient,
            ..self
        }
    }

    /// The event has a version that its handler does not know.
    #[must_use]
    pub fn of_version(event: &Event) -> Self {
        let version = event.schema_version.as_deref().unwrap_or("none");
        Self {
            class: "version".to_owned(),
            text: cut(format!(
                "version {version} of type {} is not known here",
                event.r#type
            )),
            kind: FailureKind::UnknownVersion,
        }
    }

    /// The event is from before the ids that are remembered, and not among them.
    #[must_use]
    pub fn of_age(event: &Event, forgotten_until: &str) -> Self {
        let recorded = event
            .recorded_at
            .map_or_else(String::new, |at| format!(" at {at}"));
        Self {
            class: "too_old".to_owned(),
            text: format!(
                "recorded{recorded}; this consumer has forgotten which events recorded before {forgotten_until} had their \
                 effect. If it had none, redrive it (--kind too_old); if it had, discard it"
            ),
            kind: FailureKind::TooOld,
        }
    }

    /// Why the inbox cannot take the event of an entry of so many bytes, if it cannot: Postgres has no NUL in texts, a limit on
    /// indexed ones, and another one on whole rows.
    #[must_use]
    pub fn of_unfit(event: &Event, bytes: usize) -> Option<Self> {
        if bytes > ENTRY_BYTES_MAX {
            return Some(Self {
                class: "unreadable".to_owned(),
                text: format!("the entry must be at most {ENTRY_BYTES_MAX} bytes, has {bytes}"),
                kind: FailureKind::Unreadable,
            });
        }
        let texts = [
            ("id", &event.id),
            ("source", &event.source),
            ("type", &event.r#type),
        ];
        let others = [
            ("partitionkey", &event.key),
            ("schemaversion", &event.schema_version),
        ];
        let others = others
            .into_iter()
            .filter_map(|(name, text)| Some((name, text.as_ref()?)));
        let problem = texts.into_iter().chain(others).find_map(|(name, text)| {
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
            kind: FailureKind::Unreadable,
        })
    }
}

/// What an SQL function says with the SQLSTATE that it raises.
fn kind_of_state(state: &str) -> Option<FailureKind> {
    match state {
        "OB422" => Some(FailureKind::Poison),
        "OB501" => Some(FailureKind::UnknownVersion),
        "OB503" => Some(FailureKind::Dependency),
        _ => None,
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
        assert_eq!(failure.kind, FailureKind::Transient);
        let given_up = Failure::of_handler(&error.permanent(), Some("23505".to_owned()));
        assert_eq!(given_up.kind, FailureKind::Poison);
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
            Failure::of_unfit(&Event::new("1", "/shop", "orders.placed"), 100),
            None
        );
        let nul =
            Failure::of_unfit(&Event::new("1\0", "/shop", "orders.placed"), 100).map(|failure| failure.text);
        assert_eq!(nul.as_deref(), Some("id: must not contain a NUL"));
        let version = Event {
            schema_version: Some("1\0".to_owned()),
            ..Event::new("1", "/shop", "orders.placed")
        };
        assert!(Failure::of_unfit(&version, 100).is_some());
        let giant = Failure::of_unfit(&Event::new("1", "/shop", "orders.placed"), ENTRY_BYTES_MAX + 1);
        assert!(giant.is_some_and(|failure| failure.kind == FailureKind::Unreadable));
        let long = Event::new("1", "s".repeat(NAME_MAX + 1), "orders.placed");
        assert!(Failure::of_unfit(&long, 100).is_some_and(|failure| failure.kind == FailureKind::Unreadable));
    }

    #[test]
    fn what_is_down_is_named_without_the_reason() {
        let error = HandlerError::dependency("stock service", "password=secret was refused");
        let failure = Failure::of_handler(&error, None);
        assert_eq!(failure.kind, FailureKind::Dependency);
        assert_eq!(failure.dependency(), "stock service");
        let counted = failure.counted();
        assert_eq!(
            (counted.kind, counted.class.as_str()),
            (FailureKind::Transient, "dependency")
        );
        assert!(
            counted
                .text
                .ends_with("stock service: password=secret was refused")
        );
        let raised = Failure::of_handler(&HandlerError::new("a: b"), Some("OB503".to_owned()));
        assert_eq!(raised.dependency(), "OB503");
    }

    #[test]
    fn an_sql_function_says_by_its_sqlstate_what_follows() {
        let raised =
            |state: &str| Failure::of_handler(&HandlerError::new("raised"), Some(state.to_owned())).kind;
        assert_eq!(raised("OB422"), FailureKind::Poison);
        assert_eq!(raised("OB501"), FailureKind::UnknownVersion);
        assert_eq!(raised("OB503"), FailureKind::Dependency);
        assert_eq!(raised("P0001"), FailureKind::Transient);
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
