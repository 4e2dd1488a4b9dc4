//! Pure: how far a read across streams has come, as a text that can be kept anywhere.
//!
//! Authoritative: `outbox.cursor_text` and `outbox.parse_cursor` (0024_reads.sql). Here a text is checked by the same rules, so that one
//! that was cut or changed is refused before it is sent, and is asked what it stands for.
//!
//! A cursor in the middle of a read stands for nothing but its place. One at the end of a read stands for a snapshot: everything visible
//! in it was read. Of the transaction in which it was taken the snapshot shows nothing; what that had appended by then was read too,
//! and is told by a position.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::tail::snapshot::Snapshot;

/// As 0024_reads.sql has it.
const BYTES_MAX: usize = 1024 * 1024;
const FORMAT: &str = "1";
/// Parts of a cursor at the end of a read, and in the middle of one.
const PARTS_AT_END: usize = 8;
const PARTS_WITHIN: usize = 14;
/// Bytes of the digest that the last part is made of.
const DIGEST_BYTES: usize = 4;

/// How far a read across streams has come. It is read further from where it was taken, or from elsewhere, for as long as the database
/// has the history that it is of.
///
/// ```
/// use outbox_core::event_store::Cursor;
///
/// let kept = "1/1/7/-/0/767:770:768/-/b7d0b3f1";
/// assert!(kept.parse::<Cursor>().is_err(), "its last part is made of the others");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor {
    text: String,
}

/// What a cursor at the end of a read stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenSnapshot {
    /// The era of the database that its transaction ids are of.
    pub era: i32,
    /// Everything visible in it was read. The transaction in which the cursor was taken is not.
    pub snapshot: Snapshot,
    /// That transaction, if it had an id, and the position up to which what it appended itself was read.
    pub own: Option<(u64, i64)>,
}

/// A text that is no cursor, or a cursor that does not stand for a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotACursor {
    /// What is the matter.
    pub said: &'static str,
}

impl Cursor {
    /// As it is kept and given back.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether everything was read that could be seen when its read began.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.text.split('/').count() == PARTS_AT_END
    }

    /// The snapshot that it stands for.
    ///
    /// # Errors
    /// When it is in the middle of a read, or of a read from a position on or until a time: then some of what is visible was not read.
    pub fn snapshot(&self) -> Result<SeenSnapshot, NotACursor> {
        let parts: Vec<&str> = self.text.split('/').collect();
        if parts.len() != PARTS_AT_END {
            return refuse("it stands for no snapshot: its read has not come to its end");
        }
        if parts[3].ends_with('u') || parts[4] != "0" {
            return refuse("it stands for no snapshot: it is of a read from a position on, or until a time");
        }
        Ok(SeenSnapshot {
            era: number(parts[1])?,
            snapshot: snapshot(parts[5])?,
            own: own(parts[6])?,
        })
    }
}

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        if text.len() > BYTES_MAX {
            return refuse("it has more than 1 MiB");
        }
        let parts: Vec<&str> = text.split('/').collect();
        if parts[0] != FORMAT {
            return refuse("it does not begin with 1/: it is none, or of a newer version");
        }
        if !matches!(parts.len(), PARTS_AT_END | PARTS_WITHIN) {
            return refuse("it has not the parts of one");
        }
        let (said, digest) = text.rsplit_once('/').unwrap_or((text, ""));
        if digest != digest_of(said) {
            return refuse("its parts and its last one do not agree: it was cut or changed");
        }
        number::<i32>(parts[1])?;
        number::<i64>(parts[2])?;
        let filter = parts[3].strip_suffix('u').unwrap_or(parts[3]);
        let is_digest = filter.len() == 2 * DIGEST_BYTES
            && filter
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if parts[3] != "-" && !is_digest {
            return refuse("a part of it is not what it must be");
        }
        number::<i64>(parts[4])?;
        snapshot(parts[5])?;
        own(parts[6])?;
        if parts.len() == PARTS_WITHIN {
            if !matches!(parts[7], "f" | "b") {
                return refuse("a part of it is not what it must be");
            }
            snapshot(parts[8])?;
            if parts[9] != "-" {
                number::<u64>(parts[9])?;
            }
            for place in &parts[10..13] {
                number::<i64>(place)?;
            }
        }
        Ok(Self {
            text: text.to_owned(),
        })
    }
}

fn refuse<T>(said: &'static str) -> Result<T, NotACursor> {
    Err(NotACursor { said })
}

/// A number, written as it is by who made it.
fn number<T: FromStr + ToString>(text: &str) -> Result<T, NotACursor> {
    text.parse::<T>()
        .ok()
        .filter(|number| number.to_string() == text)
        .ok_or(NotACursor {
            said: "a part of it is not the number that it must be",
        })
}

fn snapshot(text: &str) -> Result<Snapshot, NotACursor> {
    text.parse::<Snapshot>()
        .ok()
        .filter(|snapshot| snapshot.to_string() == text)
        .ok_or(NotACursor {
            said: "a part of it is not the snapshot that it must be",
        })
}

fn own(text: &str) -> Result<Option<(u64, i64)>, NotACursor> {
    if text == "-" {
        return Ok(None);
    }
    let Some((transaction, through)) = text.split_once('@') else {
        return refuse("a part of it is not what it must be");
    };
    Ok(Some((number(transaction)?, number(through)?)))
}

fn digest_of(said: &str) -> String {
    Sha256::digest(said.as_bytes())
        .iter()
        .take(DIGEST_BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.text
    }
}

impl TryFrom<String> for Cursor {
    type Error = NotACursor;

    fn try_from(text: String) -> Result<Self, NotACursor> {
        text.parse()
    }
}

impl fmt::Display for NotACursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no such cursor: {}", self.said)
    }
}

impl std::error::Error for NotACursor {}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(said: &str) -> String {
        format!("{said}/{}", digest_of(said))
    }

    #[test]
    fn a_cursor_at_its_end_stands_for_its_snapshot() {
        let text = made("1/2/7710889540180179202/-/0/767:770:768/768@31");
        let cursor: Cursor = text.parse().expect("a cursor");
        assert!(cursor.is_at_end());
        assert_eq!(cursor.to_string(), text);
        let seen = cursor.snapshot().expect("at its end");
        assert_eq!((seen.era, seen.own), (2, Some((768, 31))));
        assert!(seen.snapshot.sees(769) && !seen.snapshot.sees(768));
        let kept = serde_json::to_string(&cursor).expect("text");
        assert_eq!(serde_json::from_str::<Cursor>(&kept).expect("the same"), cursor);
    }

    #[test]
    fn what_was_not_read_to_its_end_stands_for_none() {
        for said in [
            "1/1/7/-/0/3:3:/-/f/767:767:/-/0/30/4",
            "1/1/7/-/12/767:767:/-",
            "1/1/7/0a1b2c3du/0/767:767:/-",
        ] {
            let cursor: Cursor = made(said).parse().expect(said);
            assert!(cursor.snapshot().is_err(), "{said}");
        }
    }

    #[test]
    fn what_was_cut_or_changed_is_refused() {
        let whole = made("1/1/7/-/0/767:780:768,775/-");
        assert!(whole.parse::<Cursor>().is_ok());
        for end in 0..whole.len() {
            assert!(whole[..end].parse::<Cursor>().is_err(), "{}", &whole[..end]);
        }
        assert!(whole.replace("768,775", "768").parse::<Cursor>().is_err());
        for said in [
            "2/1/7/-/0/767:780:768/-",
            "1/x/7/-/0/767:780:768/-",
            "1/+1/7/-/0/767:780:768/-",
            "1/1/7/-/0/780:767:/-",
            "1/1/7/-/0/767:780:769,768/-",
            "1/1/7/zz/0/767:780:768/-",
            "1/1/7/-/0/767:780:768/5",
            "1/1/7/-/0/3:3:/-/x/767:767:/-/0/30/4",
            "1/1/7/-/0/3:3:/-/f/767:767:/-/0/30/four",
        ] {
            assert!(made(said).parse::<Cursor>().is_err(), "{said}");
        }
    }
}
