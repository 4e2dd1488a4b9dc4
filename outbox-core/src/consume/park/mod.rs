//! Parking: events that cannot be applied now wait in the database, in their order, while every other key goes on.
//!
//! Authoritative are `outbox.parked_lane` (one row per key that waits, which is also its lock) and `outbox.parked_event`.
//! In the inbox a parked event has the outcome `parked`: when its entry comes again it is a duplicate. The change of that
//! outcome, of one row each time, is what makes the effect of a parked event one.
//!
//! Invariants:
//! * While a key has a row, no event of it is applied but its first parked one.
//! * Events join with rising places, under the row's lock for key share; the first ones are applied under a stronger lock.
//! * An event without key stands in a line of its own.
//!
//! Failure: whatever is not committed is parked, or on the stream, as before.

mod pg;

pub(super) use pg::{FailedParked, Parked, Parking};

use std::fmt;
use std::sync::Arc;

use crate::event::EntryId;

/// The line an event stands in: its key, or itself alone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(Arc<str>);

impl Lane {
    /// The line of a key.
    #[must_use]
    pub fn of_key(key: &str) -> Self {
        Self(format!("k{key}").into())
    }

    /// The line of an event that waits for no other.
    #[must_use]
    pub fn of_entry(entry: EntryId) -> Self {
        Self(format!("e{entry}").into())
    }

    /// A line as it is stored.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(text.into())
    }

    /// How it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether other events can stand in it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.0.starts_with('k')
    }
}

/// Shows no key: it may be personal.
impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_shared() { "Lane(key)" } else { &self.0 })
    }
}

/// What becomes of a key when its event is given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeadPolicy {
    /// Its later events wait until a person put the dead one back, or discarded it.
    #[default]
    Park,
    /// Its later events are applied without it.
    Skip,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_share_a_line_and_events_without_one_do_not() {
        assert_eq!(Lane::of_key("a"), Lane::of_key("a"));
        assert_ne!(
            Lane::of_entry(EntryId::new(1, 1)),
            Lane::of_entry(EntryId::new(1, 2))
        );
        // A key that looks like an entry id is still a key.
        assert_ne!(
            Lane::of_key("1-1").as_str(),
            Lane::of_entry(EntryId::new(1, 1)).as_str()
        );
        assert!(Lane::of_key("").is_shared());
        assert!(!Lane::of_entry(EntryId::new(1, 1)).is_shared());
    }

    #[test]
    fn no_key_is_shown() {
        assert_eq!(format!("{:?}", Lane::of_key("a person")), "Lane(key)");
    }
}
