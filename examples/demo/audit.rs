//! The verdict on one place: does it hold every change once, in order, and nothing else? Pure.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

/// A change: the order, and the how-manieth change of it.
pub(super) type Step = (Uuid, i32);

/// What was found in one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    pub(super) rows: usize,
    /// Changes that happened and are not there.
    pub(super) lost: usize,
    /// Changes that are there more than once, for each time too many.
    pub(super) doubled: usize,
    /// Changes that are there and never happened.
    pub(super) phantom: usize,
    /// Changes that come after a later one of the same order.
    pub(super) out_of_order: usize,
}

impl Findings {
    /// Compares a place with what happened.
    pub(super) fn of(happened: &HashSet<Step>, there: &[Step]) -> Self {
        let mut findings = Self {
            rows: there.len(),
            ..Self::default()
        };
        let mut seen = HashSet::with_capacity(there.len());
        let mut latest: HashMap<Uuid, i32> = HashMap::new();
        for step in there {
            if !happened.contains(step) {
                findings.phantom += 1;
            }
            if !seen.insert(*step) {
                findings.doubled += 1;
                continue;
            }
            let latest = latest.entry(step.0).or_insert(0);
            if step.1 < *latest {
                findings.out_of_order += 1;
            }
            *latest = step.1.max(*latest);
        }
        findings.lost = happened.difference(&seen).count();
        findings
    }

    /// True when there is nothing to say.
    pub(super) fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.phantom + self.out_of_order == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn happened() -> HashSet<Step> {
        HashSet::from([(order(1), 1), (order(1), 2), (order(2), 1), (order(1), 3)])
    }

    fn find(there: &[(u128, i32)]) -> Findings {
        Findings::of(
            &happened(),
            &there
                .iter()
                .map(|(number, step)| (order(*number), *step))
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn every_change_once_and_in_order_is_clean_however_orders_mix() {
        let findings = find(&[(1, 1), (2, 1), (1, 2), (1, 3)]);
        assert!(findings.is_clean(), "{findings:?}");
        assert_eq!(findings.rows, 4);
    }

    #[test]
    fn each_fault_is_found() {
        assert_eq!(find(&[(1, 1), (1, 2), (1, 3)]).lost, 1);
        assert_eq!(find(&[(1, 1), (2, 1), (1, 2), (1, 1), (1, 3)]).doubled, 1);
        assert_eq!(find(&[(1, 1), (2, 1), (1, 2), (1, 3), (3, 1)]).phantom, 1);
        assert_eq!(find(&[(1, 2), (1, 1), (2, 1), (1, 3)]).out_of_order, 1);
        assert_eq!(find(&[(1, 3), (1, 1), (2, 1), (1, 2)]).out_of_order, 2);
    }

    #[test]
    fn a_change_that_is_doubled_is_not_out_of_order_as_well() {
        let findings = find(&[(1, 1), (1, 2), (1, 1), (2, 1), (1, 3)]);
        assert_eq!(
            (findings.doubled, findings.out_of_order, findings.lost),
            (1, 0, 0)
        );
    }
}
