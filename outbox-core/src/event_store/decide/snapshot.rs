//! Pure: when a state is kept, and whether a kept one is of use.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::folded::Folded;

/// Events between two snapshots, where nothing else is said.
const EVERY: u64 = 100;
/// A larger state is not kept.
const STATE_BYTES_MAX: usize = 1024 * 1024;

/// When states are kept, and of which shape. A snapshot is a shortcut: whatever is wrong with one, it is passed over, and the
/// events are folded.
///
/// Raise the version whenever the state has another shape **or is folded otherwise**: a kept state knows nothing of a new `evolve`.
pub struct Snapshots<S> {
    shape: String,
    shape_version: u32,
    every: u64,
    encode: fn(&S) -> Option<String>,
    decode: fn(&str) -> Option<S>,
}

/// A state as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) begins: i64,
    pub(super) version: i64,
    pub(super) event: Uuid,
    pub(super) state: String,
    pub(super) digest: Vec<u8>,
}

impl<S: Serialize + DeserializeOwned> Snapshots<S> {
    /// States of this shape, a name that stays, in this version of it, from 1 on; one each hundred events.
    #[must_use]
    pub fn of(shape: impl Into<String>, shape_version: u32) -> Self {
        Self {
            shape: shape.into(),
            shape_version: shape_version.max(1),
            every: EVERY,
            encode: |state| serde_json::to_string(state).ok(),
            decode: |text| serde_json::from_str(text).ok(),
        }
    }

    /// At most one each so many events of a stream; one at least.
    #[must_use]
    pub fn every(mut self, events: u64) -> Self {
        self.every = events.max(1);
        self
    }
}

impl<S> Snapshots<S> {
    pub(super) fn shape(&self) -> &str {
        &self.shape
    }

    pub(super) fn shape_version(&self) -> i32 {
        i32::try_from(self.shape_version).unwrap_or(i32::MAX)
    }

    /// What to begin with; none: what is kept is not what was kept, or not a state of this program.
    pub(super) fn begin(&self, kept: &Kept) -> Option<Folded<S>> {
        if kept.digest != self.digest(kept) {
            return None;
        }
        let version = u64::try_from(kept.version).ok()?;
        Some(Folded {
            state: (self.decode)(&kept.state)?,
            version,
            begins: u64::try_from(kept.begins).ok()?,
            snapshot: version,
            is_personal: false,
        })
    }

    /// What is kept of a state whose last event has this id; none: it is not time yet, or the state is none to keep.
    pub(super) fn keep(&self, folded: &Folded<S>, event: Uuid) -> Option<Kept> {
        if folded.is_personal || folded.since_snapshot() < self.every {
            return None;
        }
        let state = (self.encode)(&folded.state)
            .filter(|text| text.len() <= STATE_BYTES_MAX && !text.contains("\\u0000"))?;
        let mut kept = Kept {
            begins: i64::try_from(folded.begins).ok()?,
            version: i64::try_from(folded.version).ok()?,
            event,
            state,
            digest: Vec::new(),
        };
        kept.digest = self.digest(&kept);
        Some(kept)
    }

    fn digest(&self, kept: &Kept) -> Vec<u8> {
        let mut hash = Sha256::new();
        hash.update(self.shape.as_bytes());
        hash.update([0]);
        hash.update(self.shape_version.to_be_bytes());
        hash.update(kept.begins.to_be_bytes());
        hash.update(kept.version.to_be_bytes());
        hash.update(kept.event.as_bytes());
        hash.update(kept.state.as_bytes());
        hash.finalize().to_vec()
    }
}

impl<S> Clone for Snapshots<S> {
    fn clone(&self) -> Self {
        Self {
            shape: self.shape.clone(),
            ..*self
        }
    }
}

impl<S> fmt::Debug for Snapshots<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots")
            .field("shape", &self.shape)
            .field("shape_version", &self.shape_version)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(version: u64, snapshot: u64) -> Folded<u64> {
        Folded {
            state: 40 + version,
            version,
            begins: 3,
            snapshot,
            is_personal: false,
        }
    }

    #[test]
    fn a_state_is_kept_when_enough_was_folded_behind_the_last_one() {
        let every_five = Snapshots::<u64>::of("balance", 1).every(5);
        let personal = Folded {
            is_personal: true,
            ..folded(50, 0)
        };
        assert!(
            every_five.keep(&personal, Uuid::nil()).is_none(),
            "it is sealed in the events"
        );
        for (version, snapshot, is_kept) in [(6, 0, false), (7, 0, true), (14, 10, false), (15, 10, true)] {
            let kept = every_five.keep(&folded(version, snapshot), Uuid::nil());
            assert_eq!(kept.is_some(), is_kept, "{version} behind {snapshot}");
        }
    }

    #[test]
    fn what_was_touched_or_is_of_another_shape_is_passed_over() {
        let snapshots = Snapshots::<u64>::of("balance", 1).every(1);
        let kept = snapshots.keep(&folded(9, 0), Uuid::nil()).expect("kept");
        let begun = snapshots.begin(&kept).expect("of use");
        assert_eq!(
            (begun.state, begun.version, begun.begins, begun.snapshot),
            (49, 9, 3, 9)
        );
        for touched in [
            Kept {
                state: "48".to_owned(),
                ..kept.clone()
            },
            Kept {
                version: 8,
                ..kept.clone()
            },
            Kept {
                begins: 1,
                ..kept.clone()
            },
            Kept {
                event: Uuid::max(),
                ..kept.clone()
            },
            Kept {
                digest: Vec::new(),
                ..kept.clone()
            },
        ] {
            assert!(snapshots.begin(&touched).is_none(), "{touched:?}");
        }
        assert!(Snapshots::<u64>::of("balance", 2).begin(&kept).is_none());
        assert!(Snapshots::<u64>::of("other", 1).begin(&kept).is_none());
        let text = Snapshots::<String>::of("balance", 1);
        assert!(text.begin(&kept).is_none(), "a number is no text");
    }

    #[test]
    fn a_state_that_is_too_large_is_not_kept() {
        let snapshots = Snapshots::<String>::of("notes", 1).every(1);
        let large = Folded {
            state: "x".repeat(STATE_BYTES_MAX),
            version: 9,
            begins: 1,
            snapshot: 0,
            is_personal: false,
        };
        assert!(snapshots.keep(&large, Uuid::nil()).is_none());
    }
}
