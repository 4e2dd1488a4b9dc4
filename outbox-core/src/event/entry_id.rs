//! The id of an entry on a stream: `<batch_id>-<position>`.

use std::fmt;
use std::str::FromStr;

/// The id of an entry on a stream. The batch rises, the position leads straight to the row of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// The batch's id: the milliseconds of a Redis stream id.
    pub batch_id: u64,
    /// The event's position in the log: the sequence of a Redis stream id.
    pub position: u64,
}

impl EntryId {
    /// Before every entry: what the first entry of a stream names as its predecessor.
    pub const MIN: Self = Self {
        batch_id: 0,
        position: 0,
    };

    /// The id of the event at `position`, published with batch `batch_id`.
    #[must_use]
    pub const fn new(batch_id: u64, position: u64) -> Self {
        Self { batch_id, position }
    }

    /// The lowest id above this one.
    #[must_use]
    pub const fn next(self) -> Self {
        match self.position.checked_add(1) {
            Some(position) => Self::new(self.batch_id, position),
            None => Self::new(self.batch_id.saturating_add(1), 0),
        }
    }
}

impl EntryId {
    /// Appends the text of [`fmt::Display`]: two of these are written per event, and the machinery of formatting takes longer than
    /// the rest of a command.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        write_number(self.batch_id, out);
        out.push(b'-');
        write_number(self.position, out);
    }
}

impl EntryId {
    /// How many bytes that is.
    pub(crate) fn text_bytes(self) -> usize {
        digits(self.batch_id) + 1 + digits(self.position)
    }
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Appends a number in decimal.
pub(crate) fn write_number(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let (mut first, mut rest) = (digits.len(), number);
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.batch_id, self.position)
    }
}

/// The text is not two numbers of 64 bits with a hyphen between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnEntryId;

impl fmt::Display for NotAnEntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stream entry id is <number>-<number>, each of 64 bits")
    }
}

impl std::error::Error for NotAnEntryId {}

impl FromStr for EntryId {
    type Err = NotAnEntryId;

    fn from_str(text: &str) -> Result<Self, NotAnEntryId> {
        let (batch_id, position) = text.split_once('-').ok_or(NotAnEntryId)?;
        Ok(Self {
            batch_id: number(batch_id)?,
            position: number(position)?,
        })
    }
}

fn number(text: &str) -> Result<u64, NotAnEntryId> {
    // `parse` alone would take a leading plus sign, which Redis does not.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotAnEntryId);
    }
    text.parse().map_err(|_| NotAnEntryId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for id in [
            EntryId::MIN,
            EntryId::new(1_763_690_000_000, 303),
            EntryId::new(u64::MAX, u64::MAX),
        ] {
            assert_eq!(id.to_string().parse(), Ok(id));
            let mut written = Vec::new();
            id.write(&mut written);
            assert_eq!(written, id.to_string().into_bytes());
            assert_eq!(written.len(), id.text_bytes());
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "5",
            "-",
            "5-",
            "-5",
            "+5-1",
            "5-1-2",
            "a-1",
            "5 -1",
            "18446744073709551616-0",
        ] {
            assert_eq!(text.parse::<EntryId>(), Err(NotAnEntryId), "{text}");
        }
    }

    #[test]
    fn order_is_by_batch_then_position() {
        assert!(EntryId::new(1, 9) < EntryId::new(2, 1) && EntryId::new(2, 1) < EntryId::new(2, 2));
    }

    #[test]
    fn nothing_is_between_an_id_and_the_next() {
        assert_eq!(EntryId::new(1, 9).next(), EntryId::new(1, 10));
        assert_eq!(EntryId::new(1, u64::MAX).next(), EntryId::new(2, 0));
    }
}
