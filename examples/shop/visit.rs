//! What the next visit to the shop will be: drawn, then done. Pure but for the dice, which are handed in.

use std::time::Duration;

use rand::Rng;

use super::order::{Errand, Line};

const GOODS: [(&str, i64); 5] = [
    ("tea", 450),
    ("coffee", 1290),
    ("cup", 890),
    ("kettle", 3990),
    ("sugar", 199),
];
/// Orders that changed most lately are visited again: so two customers meet at one now and then.
const REACH: i64 = 60;
const THINK_MS: std::ops::Range<u64> = 5..40;
const HOLD_MS: std::ops::Range<u64> = 800..4_000;

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Commit,
    RollBack,
    /// Left open for so long after the event was appended, then committed.
    HoldAndCommit(Duration),
}

/// One visit.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) errand: Errand,
    pub(super) lines: Vec<Line>,
    pub(super) pass_over: i64,
    pub(super) ending: Ending,
    /// The pause after it.
    pub(super) think: Duration,
}

impl Visit {
    pub(super) fn draw(dice: &mut impl Rng) -> Self {
        Self {
            errand: match dice.random_range(0..100) {
                0..50 => Errand::Place,
                50..88 => Errand::Pay,
                _ => Errand::Cancel,
            },
            lines: (0..dice.random_range(1..=4)).map(|_| line(dice)).collect(),
            pass_over: dice.random_range(0..REACH),
            ending: match dice.random_range(0..1000) {
                0..5 => Ending::HoldAndCommit(Duration::from_millis(dice.random_range(HOLD_MS))),
                5..85 => Ending::RollBack,
                _ => Ending::Commit,
            },
            think: Duration::from_millis(dice.random_range(THINK_MS)),
        }
    }
}

fn line(dice: &mut impl Rng) -> Line {
    let (sku, cents) = GOODS[dice.random_range(0..GOODS.len())];
    Line {
        sku: sku.to_owned(),
        quantity: dice.random_range(1..=3),
        cents,
    }
}

/// The names of all goods there are.
pub(super) fn goods() -> impl Iterator<Item = &'static str> {
    GOODS.iter().map(|(sku, _)| *sku)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn all_that_can_happen_happens() {
        let mut dice = StdRng::seed_from_u64(7);
        let visits: Vec<Visit> = (0..2_000).map(|_| Visit::draw(&mut dice)).collect();
        let count = |wanted: fn(&Visit) -> bool| visits.iter().filter(|visit| wanted(visit)).count();
        assert!(count(|visit| visit.ending == Ending::RollBack) > 80);
        assert!(count(|visit| matches!(visit.ending, Ending::HoldAndCommit(_))) > 2);
        for errand in [Errand::Place, Errand::Pay, Errand::Cancel] {
            assert!(visits.iter().any(|visit| visit.errand == errand));
        }
    }
}
