//! Pure: a Postgres snapshot, `xmin:xmax:xip`, and what is visible in it.
//!
//! The text form is that of `pg_snapshot` (Postgres manual, "pg_snapshot Components"): every transaction below `xmin` has
//! ended; none at or above `xmax` had begun; those listed were open.

use std::fmt;
use std::str::FromStr;

/// The transactions whose effects one statement sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    xmin: u64,
    xmax: u64,
    open: Vec<u64>,
}

impl Snapshot {
    /// The lowest transaction that may still be open.
    #[must_use]
    pub fn xmin(&self) -> u64 {
        self.xmin
    }

    /// The first transaction that had not begun.
    #[must_use]
    pub fn xmax(&self) -> u64 {
        self.xmax
    }

    /// Transactions that were open, rising.
    #[must_use]
    pub fn open(&self) -> &[u64] {
        &self.open
    }

    /// Whether a transaction that has committed by now was visible then.
    #[must_use]
    pub fn sees(&self, transaction: u64) -> bool {
        transaction < self.xmax && self.open.binary_search(&transaction).is_err()
    }

    /// The same, not seeing this transaction. A server leaves out of a snapshot's list whoever asks for it: told by its snapshot, the
    /// transaction that took it would seem to have ended before.
    #[must_use]
    pub fn leaving_open(mut self, transaction: u64) -> Self {
        if transaction < self.xmax
            && let Err(place) = self.open.binary_search(&transaction)
        {
            self.open.insert(place, transaction);
            self.xmin = self.xmin.min(transaction);
        }
        self
    }
}

/// A text that is not a snapshot.
#[derive(Debug, PartialEq, Eq)]
pub struct NotASnapshot(String);

impl fmt::Display for NotASnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected a snapshot like 10:20:11,14, got {:?}", self.0)
    }
}

impl std::error::Error for NotASnapshot {}

impl FromStr for Snapshot {
    type Err = NotASnapshot;

    fn from_str(text: &str) -> Result<Self, NotASnapshot> {
        let refuse = || NotASnapshot(text.to_owned());
        let mut parts = text.splitn(3, ':');
        let mut number = || parts.next().and_then(|part| part.parse::<u64>().ok());
        let (xmin, xmax) = (number().ok_or_else(refuse)?, number().ok_or_else(refuse)?);
        let open = match parts.next().ok_or_else(refuse)? {
            "" => Vec::new(),
            list => list
                .split(',')
                .map(str::parse)
                .collect::<Result<Vec<u64>, _>>()
                .map_err(|_| refuse())?,
        };
        let rising = open.windows(2).all(|pair| pair[0] < pair[1]);
        if xmin > xmax || !rising || open.iter().any(|xid| *xid < xmin || *xid >= xmax) {
            return Err(refuse());
        }
        Ok(Self { xmin, xmax, open })
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.xmin, self.xmax)?;
        for (n, xid) in self.open.iter().enumerate() {
            write!(f, "{}{xid}", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_what_had_ended_and_not_what_was_open_or_had_not_begun() {
        let snapshot: Snapshot = "10:20:11,14".parse().unwrap();
        assert!(snapshot.sees(9) && snapshot.sees(10) && snapshot.sees(19));
        assert!(!snapshot.sees(11) && !snapshot.sees(14) && !snapshot.sees(20));
        assert_eq!(snapshot.to_string(), "10:20:11,14");
    }

    #[test]
    fn who_took_it_is_not_seen_by_it() {
        let seen = |text: &str| text.parse::<Snapshot>().unwrap().leaving_open(12);
        assert_eq!(seen("10:20:11,14").to_string(), "10:20:11,12,14");
        assert_eq!(seen("15:20:").to_string(), "12:20:12");
        assert_eq!(seen("12:20:12").to_string(), "12:20:12");
        // Beyond its end nothing is seen anyway.
        assert_eq!(seen("11:12:").to_string(), "11:12:");
    }

    #[test]
    fn refuses_what_is_not_a_snapshot() {
        for text in ["", "1:2", "2:1:", "1:5:7", "1:5:3,2", "a:b:c", "1:5:3,"] {
            assert!(text.parse::<Snapshot>().is_err(), "{text}");
        }
        assert!("3:3:".parse::<Snapshot>().is_ok());
    }
}
