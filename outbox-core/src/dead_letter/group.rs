//! What goes wrong alike: dead letters by the type of the event, the class of the error and its text. Pure.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::Kind;

/// The letters of one consumer that died of the same and wait for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The consumer group.
    pub consumer: String,
    /// Names the group of failures.
    pub fingerprint: String,
    /// Type of the events; none when they could not be read.
    pub r#type: Option<String>,
    /// Class of the error.
    pub error_class: String,
    /// Why they were given up.
    pub error_kind: Kind,
    /// Topics of the events.
    pub topics: Vec<String>,
    /// How many letters.
    pub letters: i64,
    /// How many keys.
    pub keys: i64,
    /// Keys that wait for one of these letters.
    pub held_keys: i64,
    /// Later events of those keys, which wait too.
    pub waiting_events: i64,
    /// Letters that were put back before and died again.
    pub redriven_before: i64,
    /// Letters whose data was edited.
    pub edited: i64,
    /// When the first one died.
    #[serde(with = "time::serde::rfc3339")]
    pub first_dead_at: OffsetDateTime,
    /// When the last one died.
    #[serde(with = "time::serde::rfc3339")]
    pub last_dead_at: OffsetDateTime,
    /// The lowest number, to look at one.
    pub first_number: i64,
    /// The highest number.
    pub last_number: i64,
}
