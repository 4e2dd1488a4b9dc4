//! Pure: what a group misses on a stream, as it is written at the sink: by the group's member, for the relay.
//!
//! One field per stream and group in the hash `<prefix>@holes`. The field is `<stream>|<group>`: no stream has a `|` in its
//! name. It is removed by the member when the group has what it missed.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::event::EntryId;

/// Separates stream and group in a field.
const SEPARATOR: char = '|';

/// An entry whose predecessor is neither on its stream nor with anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// Key of the stream.
    pub stream: String,
    /// The consumer group.
    pub group: String,
    /// What does not come.
    pub missing: EntryId,
    /// The first entry that waits for it.
    pub held: EntryId,
    /// The entry that the group passed last; none if it never passed one.
    pub passed: Option<EntryId>,
    /// Since when, on the clock of the member.
    pub since: OffsetDateTime,
}

/// Key of the hash, for a prefix of stream keys.
#[must_use]
pub fn key(prefix: &str) -> String {
    format!("{prefix}@holes")
}

/// Key of the hash in which the relay tells a group that passed nothing that a stream begins behind an entry that is gone: the group
/// cannot know whether that was trimmed or lost, and what was lost comes again. Its fields are those of the holes.
#[must_use]
pub fn beginnings(prefix: &str) -> String {
    format!("{prefix}@beginnings")
}

/// The field of a stream and group.
#[must_use]
pub fn field(stream: &str, group: &str) -> String {
    format!("{stream}{SEPARATOR}{group}")
}

impl Hole {
    /// What stands under the field.
    #[must_use]
    pub fn value(&self) -> String {
        json!({
            "missing": self.missing.to_string(),
            "held": self.held.to_string(),
            "passed": self.passed.map(|id| id.to_string()),
            "since": self.since.format(&Rfc3339).unwrap_or_default(),
        })
        .to_string()
    }

    /// Reads a field with its value; none if it is not one of ours.
    #[must_use]
    pub fn read(field: &[u8], value: &[u8]) -> Option<Self> {
        let (stream, group) = std::str::from_utf8(field).ok()?.split_once(SEPARATOR)?;
        let told: Value = serde_json::from_slice(value).ok()?;
        let id = |name: &str| told.get(name)?.as_str()?.parse::<EntryId>().ok();
        Some(Self {
            stream: stream.to_owned(),
            group: group.to_owned(),
            missing: id("missing")?,
            held: id("held")?,
            passed: id("passed"),
            since: OffsetDateTime::parse(told.get("since")?.as_str()?, &Rfc3339).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn hole(passed: Option<EntryId>) -> Hole {
        Hole {
            stream: "outbox:orders.placed:3@eu".to_owned(),
            group: "stock|eu".to_owned(),
            missing: EntryId::new(9, 4),
            held: EntryId::new(9, 5),
            passed,
            since: datetime!(2026-11-21 04:27:41.5 UTC),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for hole in [hole(None), hole(Some(EntryId::new(9, 1)))] {
            let read = Hole::read(
                field(&hole.stream, &hole.group).as_bytes(),
                hole.value().as_bytes(),
            );
            assert_eq!(read, Some(hole));
        }
    }

    #[test]
    fn what_others_write_is_none_of_ours() {
        let value = hole(None).value();
        assert_eq!(Hole::read(b"no separator", value.as_bytes()), None);
        for wrong in [
            "",
            "[]",
            "{\"missing\": 7}",
            "{\"missing\":\"9-4\",\"held\":\"x\"}",
        ] {
            assert_eq!(Hole::read(b"s|g", wrong.as_bytes()), None, "{wrong}");
        }
    }
}
