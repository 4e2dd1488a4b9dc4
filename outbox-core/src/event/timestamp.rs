//! Times on the wire: RFC 3339 in UTC with exactly six digits of a second, read in any offset and precision.

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// Appends the time, `2026-11-21T04:27:41.000123Z`. Two of these are written per event: digit by digit, since the machinery of
/// formatting took as long as the rest of the envelope.
pub(super) fn write(out: &mut Vec<u8>, time: OffsetDateTime) {
    let utc = time.to_offset(UtcOffset::UTC);
    let (year, month, day) = utc.to_calendar_date();
    let (hour, minute, second, microsecond) = utc.to_hms_micro();
    if year < 0 {
        out.push(b'-');
    }
    number::<4>(out, year.unsigned_abs(), b'-');
    number::<2>(out, u8::from(month).into(), b'-');
    number::<2>(out, day.into(), b'T');
    number::<2>(out, hour.into(), b':');
    number::<2>(out, minute.into(), b':');
    number::<2>(out, second.into(), b'.');
    number::<6>(out, microsecond, b'Z');
}

/// The last digits of a number, and what stands behind it.
fn number<const DIGITS: usize>(out: &mut Vec<u8>, number: u32, behind: u8) {
    let mut digits = [b'0'; DIGITS];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits);
    out.push(behind);
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
            written(datetime!(9999-12-31 23:59:59.999999 UTC)),
            "9999-12-31T23:59:59.999999Z"
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
