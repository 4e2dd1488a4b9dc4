//! Whether the ids of a transaction lie together, so that a day can be asked for all of them at once. Pure.
//!
//! Ids that `append` gives begin with their time (UUID version 7), and what is appended within an hour is a narrow range of the index
//! of a day: other days have nothing in it, unless a clock stood still. A range of other ids may be all of a day: what was removed there and not yet cleaned up would be
//! read, and a plan for it may be a bad one. The answer decides what is asked, and nothing of what is found.
//!
//! Deliberately absent: other ids that begin with their time. A ULID cannot be told from any text of its letters.

use time::Duration;
use uuid::Uuid;

/// Fewer are looked for one by one: making the larger statement ready takes longer than their looks.
const LEAST: usize = 5;
/// So close to each other they were made.
const WITHIN: Duration = Duration::HOUR;

/// Whether these are several ids of UUID version 7, written as Postgres writes them, and made within an hour.
pub(super) fn is_run(ids: &[&str]) -> bool {
    let mut made: Option<(u64, u64)> = None;
    let is_close = |id: &&str| {
        let Some(at) = made_at(id) else {
            return false;
        };
        let (first, last) = made.map_or((at, at), |(first, last)| (first.min(at), last.max(at)));
        made = Some((first, last));
        u128::from(last - first) <= WITHIN.whole_milliseconds().unsigned_abs()
    };
    ids.len() >= LEAST && ids.iter().all(is_close)
}

/// When an id of version 7 was made, in milliseconds of Unix time ([RFC 9562, 5.7](https://www.rfc-editor.org/rfc/rfc9562#section-5.7)).
/// None for other texts, and where another spelling would have another place in the order of texts.
fn made_at(id: &str) -> Option<u64> {
    let uuid = Uuid::try_parse(id)
        .ok()
        .filter(|uuid| uuid.get_version_num() == 7)?;
    let mut buffer = Uuid::encode_buffer();
    let is_canonical = uuid.hyphenated().encode_lower(&mut buffer) == id;
    is_canonical.then(|| (uuid.as_u128() >> 80) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An id that was made so many milliseconds after another one.
    fn id(after_ms: u64) -> String {
        let bytes = (1_790_000_000_000 + after_ms).to_be_bytes();
        let mut id = *Uuid::now_v7().as_bytes();
        id[..6].copy_from_slice(&bytes[2..]);
        Uuid::from_bytes(id).to_string()
    }

    fn are_run(ids: &[String]) -> bool {
        is_run(&ids.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[test]
    fn several_ids_of_one_hour_lie_together() {
        const HOUR_MS: u64 = 60 * 60 * 1000;
        let ids = [HOUR_MS, 5, 0, 9, 7].map(id);
        assert!(are_run(&ids));
        assert!(!are_run(&ids[1..]), "too few");
        assert!(!are_run(&[HOUR_MS + 1, 5, 0, 9, 7].map(id)), "too far apart");
        assert!(!are_run(&[]));
    }

    #[test]
    fn what_is_ordered_otherwise_does_not() {
        let ids = [1, 2, 3, 4, 5].map(id);
        let with = |other: String| {
            let mut ids = ids.clone();
            ids[2] = other;
            are_run(&ids)
        };
        assert!(with(id(8)));
        assert!(!with(id(8).to_uppercase()));
        assert!(!with(id(8).replace('-', "")));
        assert!(
            !with("3f2a0e0b-6c94-4b4e-9a51-0e2a43f8b7d1".to_owned()),
            "version 4"
        );
        assert!(!with("order-17".to_owned()));
        assert!(!with(String::new()));
    }
}
