//! The ledger's rows, the order that they give the stream, and how far it came.

use super::{State, Stream, Without};

/// An entry's id: number of the row of the ledger, and position.
pub(super) type Id = (u8, u8);

/// Before every entry.
pub(super) const MIN: Id = (0, 0);

/// A row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Row {
    /// Events below are in this row or an earlier one.
    pub(super) through: u8,
    /// Of a re-issue: the entry that it kept.
    pub(super) kept: Option<Id>,
    /// Of a re-issue that has only what is missing: the events.
    pub(super) only: u8,
}

/// How far the stream came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) struct Progress {
    /// Row and position.
    pub(super) place: Id,
    /// The entry last put on it.
    pub(super) chain: Id,
}

/// An entry as the ledger orders it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Entry {
    pub(super) id: Id,
    pub(super) event: u8,
    pub(super) previous: Id,
    /// The id that the sink sees, which is the same unless that mechanism is taken away.
    pub(super) sent_as: Id,
}

/// The order of the stream by the first rows of the ledger. What was skipped has no place in it.
pub(super) fn order(state: &State, rules: &Stream, rows: usize) -> Vec<Entry> {
    let mut order: Vec<(Id, u8)> = Vec::new();
    let mut from = 0;
    for (at, row) in state.ledger.iter().take(rows).enumerate() {
        let number = at as u8 + 1;
        let Some(kept) = row.kept else {
            order.extend((from..row.through).map(|event| ((number, event + 1), event)));
            from = row.through;
            continue;
        };
        let keeps = order
            .iter()
            .position(|(id, _)| *id == kept)
            .map_or(0, |at| at + 1);
        let rest = order.split_off(keeps);
        let is_again = |event: &u8| row.only == 0 || row.only & (1 << event) != 0;
        order.extend(rest.into_iter().map(|(id, event)| {
            if is_again(&event) {
                ((number, event + 1), event)
            } else {
                (id, event)
            }
        }));
    }
    let mut previous = MIN;
    let mut entries = Vec::with_capacity(order.len());
    for (id, event) in order {
        let is_skipped = state.is_skipped(event);
        if !is_skipped {
            let sent_as = (id.0, position(state, rules, &entries, id, event));
            entries.push(Entry {
                id,
                event,
                previous,
                sent_as,
            });
        }
        if !is_skipped || rules.without == Without::SkipLeavesChain {
            previous = id;
        }
    }
    entries
}

fn position(state: &State, rules: &Stream, before: &[Entry], id: Id, event: u8) -> u8 {
    if rules.without != Without::Position {
        return event + 1;
    }
    // Counted in what is left of the batch.
    let is_left = |entry: &&Entry| entry.id.0 == id.0 && entry.event >= state.dropped;
    before.iter().filter(is_left).count() as u8 + 1
}

/// The event whose entry, or whose former entry, this was.
pub(super) fn event_of(state: &State, rules: &Stream, id: Id) -> Option<u8> {
    (1..=state.ledger.len())
        .flat_map(|rows| order(state, rules, rows))
        .find(|entry| entry.id == id)
        .map(|entry| entry.event)
}

/// The entries that come after `chain`.
pub(super) fn behind(order: &[Entry], chain: Id) -> &[Entry] {
    let at = order
        .iter()
        .position(|entry| entry.id == chain)
        .map_or(0, |at| at + 1);
    &order[at..]
}

/// The event that comes next by the recorded progress.
pub(super) fn next_event(state: &State, rules: &Stream) -> Option<u8> {
    let order = order(state, rules, state.ledger.len());
    behind(&order, state.recorded.chain)
        .first()
        .map(|entry| entry.event)
}
