//! Times on the wire: RFC 3339 in UTC with exactly six digits of a second, read in any offset and precision.

use std::io::Write as _;

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// Appends the time, `2026-11-21T04:27:41.000123Z`.
pub(super) fn write(out: &mut Vec<u8>, time: OffsetDateTime) {
    let utc = time.to_offset(UtcOffset::UTC);
    let (year, month, day) = utc.to_calendar_date();
    let (hour, minute, second, microsecond) = utc.to_hms_micro();
    write!(
        out,
        "{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{microsecond:06}Z",
        u8::from(month)
    )
    .expect("memory takes every write");
}

/// Reads a time of any offset; what it says is an instant, so the offset is not kept.
pub(super) fn read(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .map(|time| time.to_offset(UtcOffset::UTC))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn written(time: OffsetDateTime) -> String {
        let mut out = Vec::new();
        write(&mut out, time);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn always_utc_with_microseconds() {
        assert_eq!(
            written(datetime!(2026-11-21 04:27:41 UTC)),
            "2026-11-21T04:27:41.000000Z"
        );
        assert_eq!(
            written(datetime!(2026-01-02 01:00:00.000123 +02:00)),
            "2026-01-01T23:00:00.000123Z"
        );
        assert_eq!(
            written(datetime!(0001-01-01 00:00 UTC)),
            "0001-01-01T00:00:00.000000Z"
        );
    }

    #[test]
    fn reads_what_others_write() {
        assert_eq!(
            read("2026-11-21T06:27:41+02:00"),
            Some(datetime!(2026-11-21 04:27:41 UTC))
        );
        assert_eq!(
            read("2026-11-21t04:27:41.5z"),
            Some(datetime!(2026-11-21 04:27:41.5 UTC))
        );
        assert_eq!(read("yesterday"), None);
    }
}
