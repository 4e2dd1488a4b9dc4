//! What is finished: one row per consumer and event, found again when the event comes again.
//!
//! The table comes in days of the time at which an event was recorded, which travels with it and never changes; arrival
//! and entry id do. Days are made for now and for the last year. What says no time, or another one, has a table of its own;
//! who enters an event in the one looks for it in the other, because what is to come today is a day tomorrow.

mod pg;
mod run;

pub(super) mod keyed;

pub(super) mod window;

pub(super) use pg::Entered;

use time::{Date, Duration, OffsetDateTime, UtcOffset};

use crate::event::Event;

/// An id that was appended twice has one effect if both were recorded within this time: so many days around an event are
/// looked at, and locked. Events of one transaction lie no further apart. One that comes again without its time has no second
/// effect if it was recorded within this time of now.
pub(super) const AROUND: Duration = Duration::days(31);

/// When the event was recorded, if it says so in a year that there could be a day for. A property of the event alone.
pub(super) fn recorded_at(event: &Event) -> Option<OffsetDateTime> {
    event
        .recorded_at
        .filter(|at| (2000..3000).contains(&at.to_offset(UtcOffset::UTC).year()))
}

/// The day of the inbox that an event recorded at `moment` is in. Days are those of UTC, whatever the session's time zone is.
pub(super) fn day_of(moment: OffsetDateTime) -> Date {
    moment.to_offset(UtcOffset::UTC).date()
}

/// How many of these, from the first one on, were recorded close enough to each other for one transaction.
pub(super) fn together(recorded: impl Iterator<Item = Option<OffsetDateTime>>) -> usize {
    let mut bounds: Option<(OffsetDateTime, OffsetDateTime)> = None;
    let is_close = |at: &Option<OffsetDateTime>| {
        let Some(at) = *at else {
            return true;
        };
        let (low, high) = bounds.map_or((at, at), |(low, high)| (low.min(at), high.max(at)));
        bounds = Some((low, high));
        high - low <= AROUND
    };
    recorded.take_while(is_close).count()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn events_of_one_transaction_were_recorded_within_a_month() {
        let at = |days: i64| Some(datetime!(2026-11-20 12:00 UTC) + Duration::days(days));
        assert_eq!(together([].into_iter()), 0);
        assert_eq!(together([at(0), None, at(-20), at(11)].into_iter()), 4);
        assert_eq!(together([at(0), at(-20), at(12), at(0)].into_iter()), 2);
        assert_eq!(together([None, at(40), at(0)].into_iter()), 2);
    }
}
