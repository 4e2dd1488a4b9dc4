//! Pure: what an event of a run says about itself, and what a stream says about a run.
//!
//! Every peer puts events on the stream in a form of its own: as JSON in JSON, packed, with fields of its own. The mark is found in all
//! of them, since none of its characters is ever escaped.

use std::collections::{HashMap, HashSet};

use redis::Value;

const BEGIN: &[u8] = b"mark=";
/// The key of events that only show that a peer works, which nobody counts.
pub(crate) const PROBE: &str = "probe";
/// Bytes of an event's data.
const LENGTH: usize = 200;

/// An event: its key, and its number within the key, from 1 in the order of commits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mark {
    pub(crate) key: String,
    pub(crate) number: u64,
}

impl Mark {
    /// The data of its event.
    pub(crate) fn data(&self) -> String {
        let Self { key, number } = self;
        let data = format!(r#"{{"mark":"mark={key}={number}=","filling":""#);
        let filling = "x".repeat(LENGTH.saturating_sub(data.len() + 2));
        format!("{data}{filling}\"}}")
    }

    /// The first one in these bytes.
    pub(crate) fn find(bytes: &[u8]) -> Option<Self> {
        let at = bytes.windows(BEGIN.len()).position(|part| part == BEGIN)? + BEGIN.len();
        let mut parts = bytes[at..].split(|byte| *byte == b'=');
        let text = |part: Option<&[u8]>| Some(std::str::from_utf8(part?).ok()?.to_owned());
        Some(Self {
            key: text(parts.next())?,
            number: text(parts.next())?.parse().ok()?,
        })
    }
}

/// What a stream has of what was committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Events that must be there.
    pub(crate) committed: u64,
    /// Of these, not there.
    pub(crate) lost: u64,
    /// Entries of events that were there already.
    pub(crate) doubled: u64,
    /// Events that nobody committed.
    pub(crate) phantom: u64,
    /// Events that came first behind a later one of their key.
    pub(crate) reordered: u64,
    /// With so many entries of the stream, from its beginning, nothing was lost any more.
    pub(crate) complete: Option<u64>,
}

impl Verdict {
    /// Compares the events that each key has, numbered from 1, with the entries of a stream, in their order. Probes are not looked at.
    pub(crate) fn of(committed: &HashMap<String, u64>, entries: &[Mark]) -> Self {
        let sum = committed.values().sum();
        let mut verdict = Self {
            committed: sum,
            lost: sum,
            ..Self::default()
        };
        let mut seen: HashSet<(&str, u64)> = HashSet::new();
        let mut highest: HashMap<&str, u64> = HashMap::new();
        let counted = (1..).zip(entries).filter(|(_, mark)| mark.key != PROBE);
        for (place, Mark { key, number }) in counted {
            if !seen.insert((key, *number)) {
                verdict.doubled += 1;
                continue;
            }
            let numbers = 1..=committed.get(key).copied().unwrap_or_default();
            if !numbers.contains(number) {
                verdict.phantom += 1;
                continue;
            }
            verdict.lost -= 1;
            if verdict.lost == 0 {
                verdict.complete = Some(place);
            }
            let highest = highest.entry(key).or_default();
            verdict.reordered += u64::from(*number < *highest);
            *highest = (*highest).max(*number);
        }
        verdict
    }
}

/// The mark of an entry, in the first of its fields that has one.
pub(crate) fn found<'a>(fields: impl Iterator<Item = &'a Value>) -> Option<Mark> {
    let mut texts = fields.filter_map(|value| match value {
        Value::BulkString(bytes) => Some(bytes.as_slice()),
        _ => None,
    });
    texts.find_map(Mark::find)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{Mark, Verdict};

    fn mark(key: &str, number: u64) -> Mark {
        Mark {
            key: key.to_owned(),
            number,
        }
    }

    #[test]
    fn a_mark_is_found_in_whatever_form_its_event_comes() {
        let data = mark("key-7", 123).data();
        assert_eq!(data.len(), 200);
        let escaped = format!("{{\"payload\":{}}}", serde_json::json!(data));
        let packed = [b"\x81\xa3abc".as_slice(), data.as_bytes(), b"\x00"].concat();
        for bytes in [data.as_bytes(), escaped.as_bytes(), &packed] {
            assert_eq!(Mark::find(bytes), Some(mark("key-7", 123)));
        }
        assert_eq!(Mark::find(b"{}"), None);
        assert_eq!(Mark::find(b"mark=key=x="), None);
    }

    #[test]
    fn what_is_lost_doubled_made_up_and_reordered_is_counted_apart() {
        let committed = HashMap::from([("a".to_owned(), 4), ("b".to_owned(), 1)]);
        let entries = [
            ("a", 1),
            ("a", 3),
            ("a", 2),
            ("a", 3),
            ("a", 1),
            ("b", 1),
            ("b", 2),
            ("c", 9),
            ("probe", 3),
        ];
        let entries = entries.map(|(key, number)| mark(key, number));
        let verdict = Verdict::of(&committed, &entries);
        assert_eq!(
            verdict,
            Verdict {
                committed: 5,
                lost: 1,
                doubled: 2,
                phantom: 2,
                reordered: 1,
                complete: None
            }
        );
        let all = Verdict::of(&HashMap::from([("b".to_owned(), 1)]), &entries[5..]);
        assert_eq!((all.lost, all.complete), (0, Some(1)));
    }
}
