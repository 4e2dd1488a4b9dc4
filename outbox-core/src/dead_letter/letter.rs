//! A dead letter as people see it: what it is, and, for who may, all of it. Pure.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::{Kind, State};
use crate::event::{self, Event, envelope};

/// What is told of a letter without its payload and without what the handler said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Its number.
    pub number: i64,
    /// The consumer group that gave it up.
    pub consumer: String,
    /// What became of it.
    pub state: State,
    /// The topic, with `@writer` where several databases write it.
    pub topic: String,
    /// The stream it came from.
    pub stream: String,
    /// Its entry there.
    pub entry_id: String,
    /// Source of the event; none when the entry is no event.
    pub source: Option<String>,
    /// Id of the event.
    pub id: Option<String>,
    /// Type of the event.
    pub r#type: Option<String>,
    /// Version of its payload's contract.
    pub schema_version: Option<String>,
    /// Its key; none for who may not see keys.
    pub key: Option<String>,
    /// When the log recorded it.
    #[serde(with = "time::serde::rfc3339::option")]
    pub recorded_at: Option<OffsetDateTime>,
    /// The group of failures that it belongs to.
    pub fingerprint: String,
    /// Why it was given up.
    pub error_kind: Kind,
    /// Class of the error.
    pub error_class: String,
    /// Failed attempts.
    pub attempts: i32,
    /// When the first one failed.
    #[serde(with = "time::serde::rfc3339")]
    pub first_failed_at: OffsetDateTime,
    /// When it was given up.
    #[serde(with = "time::serde::rfc3339")]
    pub dead_at: OffsetDateTime,
    /// How often it was put back.
    pub redrives: i32,
    /// When its data was edited.
    #[serde(with = "time::serde::rfc3339::option")]
    pub edited_at: Option<OffsetDateTime>,
    /// By whom.
    pub edited_by: Option<String>,
    /// Whether later events of its key wait for it.
    pub holds_key: bool,
    /// How many.
    pub waiting_events: i64,
    /// The operation that took it last.
    pub last_operation: Option<i64>,
    /// When anything of this changed.
    #[serde(with = "time::serde::rfc3339")]
    pub changed_at: OffsetDateTime,
}

/// One failed attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Which one, from 1 on.
    pub number: i64,
    /// When it failed.
    #[serde(with = "time::serde::rfc3339")]
    pub failed_at: OffsetDateTime,
    /// How long it took.
    pub seconds: Option<f64>,
    /// Class of the error.
    pub class: String,
    /// The error with its causes, as the handler said it.
    pub error: String,
}

/// All of a letter. `Debug` shows neither payload nor error.
#[derive(Clone, PartialEq)]
pub struct Letter {
    /// What it is.
    pub summary: Summary,
    /// The last error with its causes, as the handler said it.
    pub error: String,
    /// The failed attempts, oldest first, at most the last 20.
    pub history: Vec<Attempt>,
    /// The fields of the entry as they came, names with values.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// The same with the data that a person gave it.
    pub edited_fields: Option<Vec<(Vec<u8>, Vec<u8>)>>,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Letter")
            .field("number", &self.summary.number)
            .field("consumer", &self.summary.consumer)
            .field("id", &self.summary.id)
            .finish_non_exhaustive()
    }
}

/// A letter as a line of an export.
#[derive(Serialize)]
struct Record<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    error: &'a str,
    history: &'a [Attempt],
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_event: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<RawField>>,
}

/// A field of an entry that is no event.
#[derive(Serialize)]
struct RawField {
    name_base64: String,
    value_base64: String,
}

impl Letter {
    /// The event as it came.
    ///
    /// # Errors
    /// The entry is no event.
    pub fn event(&self) -> Result<Event, event::Error> {
        envelope::decode_entry(&self.fields)
    }

    /// The event as a person edited it.
    ///
    /// # Errors
    /// The edited entry is no event.
    pub fn edited_event(&self) -> Option<Result<Event, event::Error>> {
        self.edited_fields.as_deref().map(envelope::decode_entry)
    }

    /// All of it as one JSON object without a line break: the event as CloudEvents JSON, or the raw fields in base64 where
    /// the entry is none.
    #[must_use]
    pub fn to_json(&self) -> String {
        let event = self.event().ok().and_then(|event| on_one_line(&event));
        let fields = event
            .is_none()
            .then(|| self.fields.iter().map(RawField::of).collect());
        let record = Record {
            summary: &self.summary,
            error: &self.error,
            history: &self.history,
            edited_event: self
                .edited_event()
                .and_then(Result::ok)
                .and_then(|event| on_one_line(&event)),
            event,
            fields,
        };
        serde_json::to_string(&record).expect("texts, numbers and times are JSON")
    }
}

impl RawField {
    fn of((name, value): &(Vec<u8>, Vec<u8>)) -> Self {
        use base64::Engine as _;
        let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        Self {
            name_base64: encode(name),
            value_base64: encode(value),
        }
    }
}

/// The payload is kept byte for byte, but a line break in it: between the tokens of JSON it means nothing, and within them
/// there is none.
fn on_one_line(event: &Event) -> Option<Box<RawValue>> {
    let mut text = envelope::structured(event);
    for byte in text.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')) {
        *byte = b' ';
    }
    RawValue::from_string(String::from_utf8(text).ok()?).ok()
}

#[cfg(test)]
mod tests;
