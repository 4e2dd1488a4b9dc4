//! Which dead letters are meant. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What became of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits for a person.
    Dead,
    /// It was put back and is not applied yet.
    Redriving,
    /// It had its effect after all.
    Applied,
    /// A person gave it up.
    Discarded,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Dead, Self::Redriving, Self::Applied, Self::Discarded];

    /// How the database names it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Redriving => "redriving",
            Self::Applied => "applied",
            Self::Discarded => "discarded",
        }
    }
}

/// Why an event was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Its attempts were used up.
    Transient,
    /// The handler said that trying again is useless.
    Poison,
    /// The entry is no event.
    Unreadable,
    /// It came again after the inbox had forgotten its id: whether it had its effect nobody can say.
    TooOld,
}

impl Kind {
    /// How the database names it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Poison => "poison",
            Self::Unreadable => "unreadable",
            Self::TooOld => "too_old",
        }
    }
}

/// Which dead letters are meant: those for which all of it is true. Empty, it means every one.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Of this consumer group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// With one of these numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<i64>,
    /// Of events with one of these ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// Of this group of failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Of events of this key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Of this topic, by whichever database it was written; with `@writer`, by that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// From this stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// Of events of this type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// With this class of error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_class: Option<String>,
    /// Given up for this reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_kind: Option<Kind>,
    /// That died before this.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub dead_before: Option<OffsetDateTime>,
    /// That died at this time or later.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub dead_after: Option<OffsetDateTime>,
}

impl Filter {
    /// The letters with these numbers.
    #[must_use]
    pub fn numbers(numbers: impl IntoIterator<Item = i64>) -> Self {
        Self {
            numbers: numbers.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The letters of one group of failures.
    #[must_use]
    pub fn group(fingerprint: impl Into<String>) -> Self {
        Self {
            fingerprint: Some(fingerprint.into()),
            ..Self::default()
        }
    }

    /// Whether it takes every letter, or every one of a consumer: what must be asked for in so many words.
    #[must_use]
    pub fn takes_everything(&self) -> bool {
        let unnamed = Self {
            consumer: None,
            ..self.clone()
        };
        unnamed == Self::default()
    }

    /// As the SQL functions take it.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts, numbers and times are JSON")
    }
}

/// Without the key, which is business data.
impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = Self {
            key: self.key.as_ref().map(|_| "…".to_owned()),
            ..self.clone()
        };
        write!(f, "Filter({})", shown.to_json())
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn only_what_is_given_is_in_the_json() {
        assert_eq!(Filter::default().to_json(), "{}");
        let filter = Filter {
            numbers: vec![3, 4],
            r#type: Some("orders.placed".to_owned()),
            error_kind: Some(Kind::TooOld),
            dead_after: Some(datetime!(2026-11-20 12:00 UTC)),
            ..Filter::default()
        };
        assert_eq!(
            filter.to_json(),
            r#"{"numbers":[3,4],"type":"orders.placed","error_kind":"too_old","dead_after":"2026-11-20T12:00:00Z"}"#
        );
    }

    #[test]
    fn a_consumer_alone_narrows_nothing() {
        let consumer = Some("stock".to_owned());
        assert!(Filter::default().takes_everything());
        let of_consumer = Filter {
            consumer,
            ..Filter::default()
        };
        assert!(of_consumer.takes_everything());
        assert!(
            !Filter {
                key: Some("7".to_owned()),
                ..of_consumer
            }
            .takes_everything()
        );
        assert!(!Filter::numbers([1]).takes_everything());
    }

    #[test]
    fn debugging_shows_no_key() {
        let filter = Filter {
            key: Some("customer 7".to_owned()),
            ..Filter::default()
        };
        assert_eq!(format!("{filter:?}"), r#"Filter({"key":"…"})"#);
    }
}
