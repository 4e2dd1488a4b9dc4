//! Fewer faults with which a run still fails: halves are left out, then quarters, as long as that many runs are allowed.

use std::path::Path;

use system_tests::Result;

use super::run::{Settings, run};
use super::schedule::{Injection, Schedule};

/// The smallest schedule that was seen to fail, within so many runs.
///
/// # Errors
/// When a run cannot be made.
pub async fn minimise(schedule: &Schedule, runs: usize, folder: &Path) -> Result<Schedule> {
    let mut smallest = schedule.clone();
    let (mut parts, mut left) = (2, runs);
    while left > 0 && smallest.injections.len() > 1 && parts <= smallest.injections.len() {
        let mut is_smaller = false;
        for injections in without_each_part(&smallest.injections, parts) {
            if left == 0 {
                break;
            }
            left -= 1;
            let candidate = Schedule {
                injections,
                ..smallest.clone()
            };
            eprintln!(
                "minimising: {} of {} faults",
                candidate.injections.len(),
                schedule.injections.len()
            );
            let outcome = run(Settings {
                schedule: candidate.clone(),
                history: folder.join(format!("chaos-{}-minimising.ndjson", schedule.seed)),
                tells: false,
            })
            .await?;
            if outcome.failed.is_some() {
                smallest = candidate;
                is_smaller = true;
                break;
            }
        }
        parts = if is_smaller { 2 } else { parts * 2 };
    }
    Ok(smallest)
}

/// The list without its first part, without its second, and so on.
fn without_each_part(injections: &[Injection], parts: usize) -> Vec<Vec<Injection>> {
    let size = injections.len().div_ceil(parts);
    let without = |part: usize| {
        let (from, to) = (part * size, (part + 1) * size);
        let kept = injections.iter().enumerate();
        kept.filter(|(at, _)| *at < from || *at >= to)
            .map(|(_, injection)| *injection)
            .collect()
    };
    (0..parts).map(without).collect()
}

#[cfg(test)]
mod tests {
    use super::without_each_part;
    use crate::chaos::{Kind, Schedule};

    #[test]
    fn every_fault_is_left_out_once_and_no_more() {
        let all = Schedule::draw(1, 10_000, &Kind::all()).injections;
        for parts in [2, 4, all.len()] {
            let candidates = without_each_part(&all, parts);
            let kept: usize = candidates.iter().map(Vec::len).sum();
            assert_eq!(kept, all.len() * (parts - 1), "{parts}");
        }
    }
}
