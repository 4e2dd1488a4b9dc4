//! Pure: one failed attempt, as it is recorded.

use std::any::Any;
use std::error::Error as StdError;
use std::time::Duration;

/// Longer texts are cut: an error is read by people.
const TEXT_MAX: usize = 4_000;

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// A stable word for views and labels: `handler`, `panic`, `timeout` or an SQLSTATE.
    pub(super) class: String,
    /// The error with its causes.
    pub(super) text: String,
}

impl Failure {
    pub(super) fn of_handler(error: &(dyn StdError + 'static), sql_state: Option<String>) -> Self {
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
        Self {
            class: sql_state.unwrap_or_else(|| "handler".to_owned()),
            text: cut(text),
        }
    }

    /// Whether what was refused may be a matter of everything that the transaction did: program limits (class 54), such as tags held.
    pub(super) fn is_of_the_transaction(&self) -> bool {
        self.class.starts_with("54")
    }

    pub(super) fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let said = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("without a message");
        Self {
            class: "panic".to_owned(),
            text: cut(format!("the handler panicked: {said}")),
        }
    }

    pub(super) fn of_timeout(limit: Duration) -> Self {
        Self {
            class: "timeout".to_owned(),
            text: format!("the handler did not answer within {} s", limit.as_secs_f64()),
        }
    }

    /// The handler said that all was well, and the transaction says otherwise.
    pub(super) fn of_transaction(sql_state: &str, said: &str) -> Self {
        let text = match sql_state {
            "25P02" => "a statement of the handler failed and the handler answered success: its effect would be lost".to_owned(),
            "25P01" | "3B001" => {
                "the handler committed or rolled back the transaction, which also moves the checkpoint: use savepoints instead".to_owned()
            }
            _ => format!("after the handler: {said}"),
        };
        Self {
            class: sql_state.to_owned(),
            text: cut(text),
        }
    }
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
    fn a_text_is_cut_at_a_character_and_holds_no_nul() {
        let error = std::io::Error::other(format!("\0{}", "é".repeat(TEXT_MAX)));
        let failure = Failure::of_handler(&error, None);
        assert_eq!(failure.text.len(), TEXT_MAX);
        assert!(!failure.text.contains('\0'));
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
