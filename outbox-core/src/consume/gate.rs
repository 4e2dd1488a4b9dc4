//! The gate: may this entry of a stream be applied now? Pure.
//!
//! Each entry of the relay names its predecessor on the stream. The entry last passed is kept in the handler's database,
//! so the answer is the same for every member of the group, after a crash and beside a stopped member that wakes up.
//! Entries without a predecessor come from strangers: they have no place in the chain and do not move it.

use crate::event::EntryId;

/// What to do with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its predecessor is passed: apply it, in its turn.
    Apply,
    /// Passed before, or taken out of its place by a re-issue: acknowledge without effect.
    Superseded,
    /// Its predecessor is being re-issued or is with a dead member: leave it pending and read on.
    Held,
    /// It is outside the chain: apply it, the inbox alone says whether it was applied before.
    Stranger,
}

/// How far a group came on a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    passed: Option<EntryId>,
}

impl Gate {
    /// The gate of a group whose last passed entry is `passed`; none for a group that never passed one.
    #[must_use]
    pub fn new(passed: Option<EntryId>) -> Self {
        Self { passed }
    }

    /// The entry last passed.
    #[must_use]
    pub fn passed(&self) -> Option<EntryId> {
        self.passed
    }

    /// What to do with the entry `id` that names `previous`.
    #[must_use]
    pub fn judge(&self, id: EntryId, previous: Option<EntryId>) -> Verdict {
        let Some(previous) = previous else {
            return Verdict::Stranger;
        };
        match self.passed {
            Some(passed) if id <= passed => Verdict::Superseded,
            Some(passed) if previous > passed => Verdict::Held,
            None if previous > EntryId::MIN => Verdict::Held,
            _ => Verdict::Apply,
        }
    }

    /// The entry `id` was taken in hand.
    ///
    /// # Panics
    /// When `id` does not rise: it was not judged first.
    pub fn pass(&mut self, id: EntryId) {
        assert!(
            self.passed.is_none_or(|passed| id > passed),
            "an entry passed the gate against the order of the stream"
        );
        self.passed = Some(id);
    }

    /// Opens the gate for the successor of `previous`, which is known never to come. Never lowers it.
    pub fn concede(&mut self, previous: EntryId) {
        self.passed = self.passed.max(Some(previous));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(batch: u64, position: u64) -> EntryId {
        EntryId::new(batch, position)
    }

    #[test]
    fn a_chain_passes_in_its_order() {
        let mut gate = Gate::default();
        assert_eq!(gate.judge(id(1, 1), Some(EntryId::MIN)), Verdict::Apply);
        gate.pass(id(1, 1));
        assert_eq!(gate.judge(id(1, 2), Some(id(1, 1))), Verdict::Apply);
        gate.pass(id(1, 2));
        assert_eq!(gate.judge(id(1, 1), Some(EntryId::MIN)), Verdict::Superseded);
        assert_eq!(gate.passed(), Some(id(1, 2)));
    }

    #[test]
    fn a_zombies_entry_on_a_recreated_stream_waits_for_its_predecessor() {
        // 1.1 was applied, the stream was deleted, 2.2 of a zombie lands before the re-issue of what precedes it.
        let gate = Gate::new(Some(id(1, 1)));
        assert_eq!(gate.judge(id(2, 2), Some(id(2, 1))), Verdict::Held);
    }

    #[test]
    fn a_held_entry_that_a_reissue_superseded_is_acknowledged() {
        // 2.3 waits for 2.2; the re-issue's 3.1 names the last kept entry and moves the gate beyond 2.3.
        let mut gate = Gate::new(Some(id(1, 1)));
        assert_eq!(gate.judge(id(2, 3), Some(id(2, 2))), Verdict::Held);
        assert_eq!(gate.judge(id(3, 1), Some(id(1, 1))), Verdict::Apply);
        gate.pass(id(3, 1));
        assert_eq!(gate.judge(id(2, 3), Some(id(2, 2))), Verdict::Superseded);
    }

    #[test]
    fn a_new_group_holds_what_names_a_predecessor_until_it_is_conceded() {
        let mut gate = Gate::default();
        assert_eq!(gate.judge(id(5, 9), Some(id(4, 8))), Verdict::Held);
        gate.concede(id(4, 8));
        assert_eq!(gate.judge(id(5, 9), Some(id(4, 8))), Verdict::Apply);
    }

    #[test]
    fn conceding_never_lowers_the_gate() {
        let mut gate = Gate::new(Some(id(7, 7)));
        gate.concede(id(4, 8));
        assert_eq!(gate.passed(), Some(id(7, 7)));
    }

    #[test]
    fn strangers_pass_wherever_the_gate_stands() {
        assert_eq!(Gate::new(Some(id(9, 9))).judge(id(1, 1), None), Verdict::Stranger);
        assert_eq!(Gate::default().judge(id(1, 1), None), Verdict::Stranger);
    }

    #[test]
    #[should_panic(expected = "against the order of the stream")]
    fn the_gate_never_falls() {
        Gate::new(Some(id(2, 0))).pass(id(1, 0));
    }
}
