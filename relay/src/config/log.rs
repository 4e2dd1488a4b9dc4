//! What is logged, and how.

use super::kind::{Text, Words, one_of};
use super::section::section;

/// One line per change of state, none per event.
pub const DEFAULT_LEVEL: &str = "info";

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Words for Format {
    const WORDS: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

section! {
    /// Logs, on standard error. They never hold payloads or secrets, at any level.
    Log = "log" {
        /// `error`, `warn`, `info`, `debug`, `trace`, or a filter by module such as `info,outbox_core::publish=debug`.
        level: String = DEFAULT_LEVEL.to_owned(), Text(is_filter, "a level (error, warn, info, debug, trace) or a filter such as info,outbox_core::publish=debug");
        /// `text` for people, `json` for one object per line.
        format: Format = Format::Text, one_of::<Format>();
    }
}

fn is_filter(text: &str) -> bool {
    !text.is_empty() && text.parse::<tracing_subscriber::EnvFilter>().is_ok()
}
