//! Pure: a state while its events are folded.

use super::decider::Decider;
use super::outcome::Loaded;

/// What was folded so far.
pub(super) struct Folded<S> {
    pub(super) state: S,
    /// Version of the last event; 0: none.
    pub(super) version: u64,
    /// Version of the first one, that of the snapshot included; 0: none.
    pub(super) begins: u64,
    /// Version of the snapshot that it began with; 0: none.
    pub(super) snapshot: u64,
    /// Something was sealed: the state is not kept in the clear.
    pub(super) is_personal: bool,
}

impl<S> Folded<S> {
    /// Nothing.
    pub(super) fn nothing<D: Decider<State = S>>() -> Self {
        Self {
            state: D::initial(),
            version: 0,
            begins: 0,
            snapshot: 0,
            is_personal: false,
        }
    }

    /// Whether an event of this version comes next. If it does not, those between were truncated while the stream was read.
    pub(super) fn is_next(&self, version: u64) -> bool {
        self.begins == 0 || version == self.version + 1
    }

    /// After one more event.
    pub(super) fn then<D: Decider<State = S>>(self, event: &D::Event, version: u64) -> Self {
        Self {
            state: D::evolve(self.state, event),
            version,
            begins: if self.begins == 0 { version } else { self.begins },
            snapshot: self.snapshot,
            is_personal: self.is_personal,
        }
    }

    /// How many events the next load would fold.
    pub(super) fn since_snapshot(&self) -> u64 {
        let before = self.snapshot.max(self.begins.saturating_sub(1));
        self.version.saturating_sub(before)
    }

    pub(super) fn loaded(self) -> Loaded<S> {
        Loaded {
            state: self.state,
            version: self.version,
        }
    }
}
