//! Pure: how far a group is behind on a stream, and why it does not move.

use crate::event::EntryId;

/// An entry that waits this long, with a member to apply it, is worth a word.
const SLOW_SECONDS: f64 = 60.0;

/// What Redis says of one stream and group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Entries delivered and not acknowledged; none when the group is not on the stream.
    pub pending: Option<u64>,
    /// Entries not delivered yet; none when Redis does not say: an old version, or entries were deleted in between.
    pub undelivered: Option<u64>,
    /// Entries on the stream.
    pub length: u64,
    /// The first entry behind the one last passed, with the predecessor that it names.
    pub next: Option<(EntryId, Option<EntryId>)>,
    /// The clock of who looked, in milliseconds since 1970.
    pub clock_ms: u64,
}

/// What the consumer's database says of one stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Position {
    /// The entry last passed.
    pub passed: Option<EntryId>,
    /// Whether a member holds the stream.
    pub is_held: bool,
    /// Since when and why a person paused the group.
    pub paused: Option<String>,
}

/// How far a group is behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Lag {
    /// Entries of the stream that are not passed; none when that is not known.
    pub events: Option<u64>,
    /// Since when the oldest of them is on the stream; zero when there is none.
    pub seconds: f64,
    /// Why it does not move, if it ought to.
    pub cause: Option<String>,
}

impl Lag {
    /// Brings together what both servers say.
    #[must_use]
    pub fn of(position: &Position, seen: &Seen) -> Self {
        let seconds = seen.next.map_or(0.0, |(id, _)| {
            seen.clock_ms.saturating_sub(id.batch_id) as f64 / 1000.0
        });
        Self {
            events: events(position, seen),
            seconds,
            cause: cause(position, seen, seconds),
        }
    }
}

fn events(position: &Position, seen: &Seen) -> Option<u64> {
    if seen.next.is_none() {
        return Some(0);
    }
    match (seen.pending, seen.undelivered) {
        (Some(pending), Some(undelivered)) => Some(pending + undelivered),
        // A group that never was on the stream has all of it before it.
        (None, _) if position.passed.is_none() => Some(seen.length),
        _ => None,
    }
}

fn cause(position: &Position, seen: &Seen, seconds: f64) -> Option<String> {
    if let Some(paused) = &position.paused {
        return Some(paused.clone());
    }
    let (id, previous) = seen.next?;
    if let (Some(passed), Some(previous)) = (position.passed, previous)
        && previous > passed
    {
        return Some(format!(
            "held: entry {id} waits for its predecessor {previous}, which is not on the stream"
        ));
    }
    if !position.is_held {
        return Some("no member holds the stream".to_owned());
    }
    (seconds > SLOW_SECONDS).then(|| format!("slow or blocked: entry {id} has waited for {seconds:.0} s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        Seen {
            pending: Some(2),
            undelivered: Some(5),
            length: 100,
            next: Some((EntryId::new(60_000, 7), Some(EntryId::new(50_000, 3)))),
            clock_ms: 64_000,
        }
    }

    fn position() -> Position {
        Position {
            passed: Some(EntryId::new(50_000, 3)),
            is_held: true,
            paused: None,
        }
    }

    #[test]
    fn what_is_delivered_and_what_is_not_is_behind() {
        let lag = Lag::of(&position(), &seen());
        assert_eq!((lag.events, lag.seconds, lag.cause), (Some(7), 4.0, None));
    }

    #[test]
    fn what_redis_does_not_say_is_unknown() {
        let silent = Seen {
            undelivered: None,
            ..seen()
        };
        assert_eq!(Lag::of(&position(), &silent).events, None);
        let lost = Seen {
            pending: None,
            ..seen()
        };
        assert_eq!(Lag::of(&position(), &lost).events, None);
        assert_eq!(Lag::of(&Position::default(), &lost).events, Some(100));
    }

    #[test]
    fn a_stream_that_is_passed_to_its_end_has_no_lag_whatever_redis_counts() {
        let done = Seen { next: None, ..seen() };
        let lag = Lag::of(&position(), &done);
        assert_eq!((lag.events, lag.seconds, lag.cause), (Some(0), 0.0, None));
    }

    #[test]
    fn the_cause_is_the_nearest_one() {
        let hole = Seen {
            next: Some((EntryId::new(60_000, 7), Some(EntryId::new(59_000, 1)))),
            ..seen()
        };
        let free = Position {
            is_held: false,
            ..position()
        };
        let paused = Position {
            paused: Some("paused by ann: move".to_owned()),
            ..free.clone()
        };
        let late = Seen {
            clock_ms: 200_000,
            ..seen()
        };
        let cause = |position: &Position, seen: &Seen| Lag::of(position, seen).cause.unwrap_or_default();
        assert_eq!(cause(&paused, &hole), "paused by ann: move");
        assert!(cause(&free, &hole).contains("waits for its predecessor 59000-1"));
        assert_eq!(cause(&free, &seen()), "no member holds the stream");
        assert!(cause(&position(), &late).contains("140 s"));
    }
}
