//! How far behind a member is and what waits: gauges that nothing else would tell, looked up now and then.
//!
//! Authoritative are the handlers' database for what was passed and what waits, and Redis for what is on the streams. A member
//! tells of the streams that it applies, so that the sum over members is the group's; what belongs to no stream is told by
//! the member that applies the first one.
//!
//! Failure: what cannot be asked keeps its last value for one look and is said in the log once; nothing else depends on it.
//! Where Redis does not say how many entries are left (before 7.0, or after entries were deleted), their number is not a number.

mod run;

mod pg;

mod redis;

pub(super) use self::run::watch;

use serde::Deserialize;

use crate::event::EntryId;

/// What the database says.
#[derive(Debug, Deserialize)]
struct Waiting {
    streams: Vec<Stream>,
    /// Dead letters that wait for a person; none if another member tells.
    letters: Option<u64>,
}

/// One stream that this member applies.
#[derive(Debug, Deserialize)]
struct Stream {
    stream: String,
    /// The entry last passed.
    passed: Option<String>,
    /// Keys that wait.
    keys: u64,
    /// Events that wait with them.
    events: u64,
}

/// What Redis says of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Left {
    /// The first entry that is not passed.
    first: Option<EntryId>,
    /// Entries delivered and not acknowledged, and those not delivered. None: it does not say.
    entries: Option<u64>,
}

impl Left {
    /// Entries that are not passed yet.
    fn events(&self) -> f64 {
        match (self.first, self.entries) {
            (None, _) => 0.0,
            (Some(_), Some(entries)) => entries as f64,
            (Some(_), None) => f64::NAN,
        }
    }

    /// How long the first of them has been on the stream, by the time that is in its id.
    fn seconds(&self, now_milliseconds: u64) -> f64 {
        self.first.map_or(0.0, |first| {
            now_milliseconds.saturating_sub(first.batch_id) as f64 / 1000.0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_passed_everything_is_not_behind_whatever_is_acknowledged() {
        let left = Left {
            first: None,
            entries: Some(3),
        };
        assert_eq!((left.events(), left.seconds(9_000)), (0.0, 0.0));
    }

    #[test]
    fn the_lag_is_the_age_of_the_first_entry_left() {
        let left = Left {
            first: Some(EntryId::new(4_000, 7)),
            entries: Some(3),
        };
        assert_eq!((left.events(), left.seconds(9_500)), (3.0, 5.5));
        assert_eq!(
            left.seconds(3_000),
            0.0,
            "a clock that is behind makes no negative age"
        );
    }

    #[test]
    fn what_nobody_counted_is_not_a_number() {
        let left = Left {
            first: Some(EntryId::new(1, 1)),
            entries: None,
        };
        assert!(left.events().is_nan());
    }
}
