//! Which rows are in the next batch, by snapshots or by what stands in their place where they are taken away.

use super::{Batch, Phase, Relay, Seen, State, Tail, Transaction, WRITERS, Without, write};
use crate::step::{Next, Who};

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Snapshot {
    pub(super) xmax: u8,
    /// Bits of the transaction ids that were open.
    pub(super) open: u32,
}

impl Snapshot {
    pub(super) fn excludes(&self, xid: u8) -> bool {
        xid >= self.xmax || self.open & (1 << xid) != 0
    }
}

impl Tail {
    pub(super) fn snapshot(state: &State) -> Snapshot {
        let is_open = |writer: &&Transaction| matches!(writer.phase, Phase::Begun | Phase::Appended);
        let open = state.writers.iter().filter(is_open);
        Snapshot {
            xmax: state.next_xid,
            open: open.fold(0, |bits, writer| bits | 1 << writer.xid),
        }
    }

    /// The rows of the next batch behind `before`, and their order.
    pub(super) fn select(&self, state: &State, before: &[Batch], now: &Snapshot) -> Vec<u8> {
        let cut = |writer: usize| before.iter().any(|batch| batch.rows.contains(&(writer as u8)));
        let last_position = before
            .iter()
            .flat_map(|batch| &batch.rows)
            .map(|row| state.writers[*row as usize].position)
            .max()
            .unwrap_or(0);
        let from = before.last().map(|batch| &batch.to);
        let horizon = (1..now.xmax)
            .find(|xid| now.open & (1 << xid) != 0)
            .unwrap_or(now.xmax);
        let mut rows: Vec<u8> = (0..WRITERS)
            .filter(|at| {
                let writer = &state.writers[*at];
                let is_new = from.is_none_or(|from| from.excludes(writer.xid));
                writer.phase == Phase::Committed
                    && match self.without {
                        Without::Snapshots => writer.position > last_position,
                        Without::PositionOrder => !cut(*at) && writer.xid < horizon,
                        Without::OpenArm => from.is_none_or(|from| writer.xid >= from.xmax),
                        Without::NoLowerBound => is_new && writer.position > last_position,
                        _ => is_new,
                    }
            })
            .map(|at| at as u8)
            .collect();
        rows.sort_by_key(|row| {
            let writer = &state.writers[*row as usize];
            match self.without {
                Without::PositionOrder => (writer.xid, writer.position),
                _ => (0, writer.position),
            }
        });
        rows
    }

    pub(super) fn cut(&self, state: &State, at: u8, head: u8, next: &mut Next<State>) {
        let who = Who::Relay(at);
        if self.looks && state.relays[at as usize].seen.is_none() {
            self.look(state, at, head, next);
            return;
        }
        let is_taken = state.ledger.len() > head as usize;
        let is_waited_for = state
            .ledger
            .get(head as usize)
            .is_some_and(|batch| batch.open_by.is_some());
        if is_taken && is_waited_for {
            return;
        }
        if is_taken && self.without != Without::UniqueNumber {
            let mut reached = state.clone();
            reached.relays[at as usize] = Relay::default();
            next.step(who, "be refused", head, reached);
            return;
        }
        let mut reached = state.clone();
        let seen = match reached.relays[at as usize].seen.take() {
            Some(seen) => seen,
            None => {
                let (seen, left_out) = self.see(state, head);
                reached.left_out |= left_out;
                if seen.rows.is_empty() {
                    if left_out && !state.left_out {
                        next.step(who, "cut nothing", head, reached);
                    }
                    return;
                }
                seen
            }
        };
        self.store(state, reached, (at, head), seen, next);
    }

    /// What is there to cut, and whether something committed is left out of it.
    fn see(&self, state: &State, head: u8) -> (Seen, bool) {
        let snapshot = Self::snapshot(state);
        let before = &state.ledger[..head as usize];
        let rows = self.select(state, before, &snapshot);
        let is_in = |writer: usize| rows.contains(&(writer as u8));
        let is_behind = |writer: usize| before.iter().any(|batch| batch.rows.contains(&(writer as u8)));
        let left_out = (0..WRITERS).any(|writer| {
            state.writers[writer].phase == Phase::Committed && !is_in(writer) && !is_behind(writer)
        });
        (Seen { snapshot, rows }, left_out)
    }

    fn look(&self, state: &State, at: u8, head: u8, next: &mut Next<State>) {
        let (seen, left_out) = self.see(state, head);
        let mut reached = state.clone();
        reached.left_out |= left_out;
        if !seen.rows.is_empty() {
            reached.relays[at as usize].seen = Some(seen);
        } else if !left_out || state.left_out {
            return;
        }
        next.step(Who::Relay(at), "look", head, reached);
    }

    fn store(
        &self,
        state: &State,
        mut reached: State,
        (at, head): (u8, u8),
        seen: Seen,
        next: &mut Next<State>,
    ) {
        let who = Who::Relay(at);
        let from = state.ledger[..head as usize]
            .last()
            .map_or(Snapshot { xmax: 1, open: 0 }, |batch| batch.to.clone());
        reached.next_xid += 1;
        reached.clock += 1;
        reached.ledger.push(Batch {
            id: reached.clock,
            open_by: (self.without == Without::CommitFirst).then_some(at),
            is_flushed: false,
            from,
            to: seen.snapshot,
            rows: seen.rows,
        });
        reached.relays[at as usize].head = Some(reached.ledger.len() as u8);
        if !matches!(self.without, Without::CommitFirst | Without::Flush) {
            write::flush(&mut reached);
        }
        next.step(who, "cut", head, reached.clone());
        if state.troubles > 0 {
            reached.relays[at as usize] = Relay::default();
            reached.troubles -= 1;
            // A transaction whose client is gone is rolled back.
            reached.ledger.retain(|batch| batch.open_by != Some(at));
            next.fault(who, "cut, and not hear the answer", head, reached);
        }
    }

    /// Whether a batch, read again, has other rows than when it was cut.
    pub(super) fn has_changed(state: &State) -> bool {
        state.ledger.iter().any(|batch| {
            let again = state.writers.iter().filter(|writer| {
                writer.phase == Phase::Committed
                    && batch.from.excludes(writer.xid)
                    && !batch.to.excludes(writer.xid)
            });
            again.count() != batch.rows.len()
        })
    }

    /// Whether a committed event that is in no batch can still come into one.
    pub(super) fn can_come(&self, state: &State, writer: usize) -> bool {
        let transaction = &state.writers[writer];
        let Some(last) = state.ledger.last() else {
            return true;
        };
        let last_position = state
            .ledger
            .iter()
            .flat_map(|batch| &batch.rows)
            .map(|row| state.writers[*row as usize].position)
            .max()
            .unwrap_or(0);
        match self.without {
            Without::Snapshots => transaction.position > last_position,
            Without::OpenArm => transaction.xid >= last.to.xmax,
            Without::NoLowerBound => {
                last.to.excludes(transaction.xid) && transaction.position > last_position
            }
            Without::PositionOrder => true,
            _ => last.to.excludes(transaction.xid),
        }
    }
}
