//! Pure: from where a group is to read again.

use std::fmt;
use std::str::FromStr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::event::EntryId;

/// From where a group is to read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// From the first event that there ever was.
    Begin,
    /// From the first batch that was cut at this time or later: everything recorded since then is in it or behind it.
    Time(OffsetDateTime),
    /// From this entry on.
    Entry(EntryId),
    /// From the event with this id on.
    Event(String),
}

/// The text says no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotATarget;

impl fmt::Display for NotATarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a place to read from is `begin`, a time such as 2026-11-20T12:00:00Z, an entry id such as 1795233600000-41, \
             or the id of an event",
        )
    }
}

impl std::error::Error for NotATarget {}

impl FromStr for Target {
    type Err = NotATarget;

    fn from_str(text: &str) -> Result<Self, NotATarget> {
        if text == "begin" {
            return Ok(Self::Begin);
        }
        if let Ok(entry) = text.parse() {
            return Ok(Self::Entry(entry));
        }
        if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
            return Ok(Self::Time(time));
        }
        // What begins as a date is a time that went wrong, not the id of an event.
        let is_date = text.len() >= 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
        if text.is_empty()
            || text.len() > 1024
            || (is_date && text[..4].bytes().all(|byte| byte.is_ascii_digit()))
        {
            return Err(NotATarget);
        }
        Ok(Self::Event(text.to_owned()))
    }
}

impl Target {
    /// The place behind which everything is read again; none when an event must be found first.
    #[must_use]
    pub fn behind(&self) -> Option<EntryId> {
        match self {
            Self::Begin => Some(EntryId::MIN),
            Self::Time(time) => Some(before_time(*time)),
            Self::Entry(entry) => Some(before(*entry)),
            Self::Event(_) => None,
        }
    }
}

/// The greatest id below an entry's: whatever stands before the entry is at or below it.
#[must_use]
pub(super) fn before(entry: EntryId) -> EntryId {
    match (entry.batch_id, entry.position) {
        (0, 0) => EntryId::MIN,
        (batch, 0) => EntryId::new(batch - 1, u64::MAX),
        (batch, position) => EntryId::new(batch, position - 1),
    }
}

/// The id of a batch is at least the milliseconds at which it was cut.
fn before_time(time: OffsetDateTime) -> EntryId {
    let milliseconds = time.unix_timestamp_nanos() / 1_000_000;
    before(EntryId::new(u64::try_from(milliseconds).unwrap_or(0), 0))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn each_kind_of_place_is_told_from_the_others() {
        assert_eq!("begin".parse(), Ok(Target::Begin));
        assert_eq!(
            "1795233600000-41".parse(),
            Ok(Target::Entry(EntryId::new(1_795_233_600_000, 41)))
        );
        assert_eq!(
            "2026-11-20T12:00:00Z".parse(),
            Ok(Target::Time(datetime!(2026-11-20 12:00 UTC)))
        );
        let event = "01a00000-0000-7000-8000-000000000000";
        assert_eq!(event.parse(), Ok(Target::Event(event.to_owned())));
    }

    #[test]
    fn a_time_that_went_wrong_is_no_event() {
        for text in ["", "2026-11-20", "2026-11-20 12:00", "2026-13-20T12:00:00Z"] {
            assert_eq!(text.parse::<Target>(), Err(NotATarget), "{text}");
        }
    }

    #[test]
    fn what_is_read_again_begins_with_the_place_itself() {
        let behind = |text: &str| text.parse::<Target>().ok().and_then(|target| target.behind());
        assert_eq!(behind("begin"), Some(EntryId::MIN));
        assert_eq!(behind("7-5"), Some(EntryId::new(7, 4)));
        assert_eq!(behind("7-0"), Some(EntryId::new(6, u64::MAX)));
        assert_eq!(
            behind("1970-01-01T00:00:07Z"),
            Some(EntryId::new(6_999, u64::MAX))
        );
        assert_eq!(behind("1969-01-01T00:00:07Z"), Some(EntryId::MIN));
        assert_eq!(behind("some-event"), None);
    }
}
