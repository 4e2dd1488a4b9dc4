//! Pure: which faults come when. Everything follows from the seed.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use super::fault::{Kind, Subject};

/// The pause between the beginnings of two faults, in milliseconds.
const PAUSES: (u64, u64) = (80, 400);
/// What was harmed has a moment to come back before it is harmed again.
const REST_MS: u64 = 700;
/// The first fault comes when everything is at work.
const FIRST_MS: u64 = 500;

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injection {
    /// When, since the faults began.
    pub at_ms: u64,
    /// For how long.
    pub lasts_ms: u64,
    /// What.
    pub kind: Kind,
    /// Which of several processes or sessions.
    pub victim: usize,
}

/// A run, as it is drawn, stored and repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Where everything comes from, the producers' chances too.
    pub seed: u64,
    /// How long faults come, in milliseconds.
    pub faults_ms: u64,
    /// The faults, in order.
    pub injections: Vec<Injection>,
}

impl Schedule {
    /// Draws a run in which faults come for so long.
    #[must_use]
    pub fn draw(seed: u64, faults_ms: u64, kinds: &[Kind]) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut injections = Vec::new();
        let mut busy_until: BTreeMap<Subject, u64> = BTreeMap::new();
        let mut at_ms = FIRST_MS;
        while at_ms < faults_ms {
            let free: Vec<Kind> = kinds
                .iter()
                .copied()
                .filter(|kind| {
                    let is_free = |subject| busy_until.get(subject).is_none_or(|until| *until <= at_ms);
                    kind.subjects().iter().all(is_free)
                })
                .collect();
            if let Some(kind) = pick(&free, &mut random) {
                let (least, most) = kind.lasts();
                let lasts_ms = random.random_range(least..=most);
                for subject in kind.subjects() {
                    busy_until.insert(subject, at_ms + lasts_ms + REST_MS);
                }
                injections.push(Injection {
                    at_ms,
                    lasts_ms,
                    kind,
                    victim: random.random_range(0..1_000),
                });
            }
            at_ms += random.random_range(PAUSES.0..=PAUSES.1);
        }
        Self {
            seed,
            faults_ms,
            injections,
        }
    }
}

fn pick(kinds: &[Kind], random: &mut StdRng) -> Option<Kind> {
    let total: u32 = kinds.iter().map(|kind| kind.weight()).sum();
    if total == 0 {
        return None;
    }
    let mut drawn = random.random_range(0..total);
    kinds.iter().copied().find(|kind| {
        let is_it = drawn < kind.weight();
        drawn = drawn.saturating_sub(kind.weight());
        is_it
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{REST_MS, Schedule};
    use crate::chaos::fault::Kind;

    #[test]
    fn one_seed_is_one_schedule_and_it_survives_being_written_down() -> system_tests::Result {
        let kinds = Kind::all();
        let drawn = Schedule::draw(7, 60_000, &kinds);
        assert_eq!(drawn, Schedule::draw(7, 60_000, &kinds));
        assert_ne!(drawn, Schedule::draw(8, 60_000, &kinds));
        let written = serde_json::to_string(&drawn)?;
        assert_eq!(serde_json::from_str::<Schedule>(&written)?, drawn);
        assert!(drawn.injections.len() > 60, "{}", drawn.injections.len());
        Ok(())
    }

    #[test]
    fn nothing_is_harmed_twice_at_a_time_and_every_kind_comes() {
        let kinds = Kind::all();
        let mut seen = BTreeSet::new();
        for seed in 0..40 {
            let drawn = Schedule::draw(seed, 60_000, &kinds).injections;
            for (number, one) in drawn.iter().enumerate() {
                seen.insert(one.kind);
                let (after, subjects) = (one.at_ms + one.lasts_ms + REST_MS, one.kind.subjects());
                let clash = drawn[number + 1..].iter().find(|other| {
                    other.at_ms < after
                        && other
                            .kind
                            .subjects()
                            .iter()
                            .any(|subject| subjects.contains(subject))
                });
                assert_eq!(clash, None, "seed {seed}: {one:?}");
            }
        }
        assert_eq!(seen.len(), kinds.len());
    }
}
