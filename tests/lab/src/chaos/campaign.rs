//! Many runs, until so many faults were done; every run is a line of a file, so that a campaign goes on where it stopped.

use std::io::Write;
use std::path::{Path, PathBuf};

use system_tests::{Failure, Result};

use super::fault::Kind;
use super::run::{Outcome, Settings, run};
use super::schedule::Schedule;

/// How long faults come in one run of a campaign.
const RUN_MS: u64 = 60_000;

/// What a campaign is to do.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The seed of its first run; the next ones count on from the last run on file.
    pub seed: u64,
    /// How many faults, those on file included.
    pub faults: usize,
    /// The kinds.
    pub kinds: Vec<Kind>,
    /// One line of JSON for each run.
    pub results: PathBuf,
    /// For histories.
    pub folder: PathBuf,
}

/// Every run on file.
///
/// # Errors
/// When the file is not what a campaign wrote.
pub fn read(results: &Path) -> Result<Vec<Outcome>> {
    if !results.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(results)?;
    let outcomes = text.lines().map(serde_json::from_str);
    Ok(outcomes.collect::<std::result::Result<_, _>>()?)
}

/// How many faults these runs did.
#[must_use]
pub fn faults(outcomes: &[Outcome]) -> usize {
    let met = |outcome: &Outcome| outcome.done.iter().filter(|done| done.has_met).count();
    outcomes.iter().map(met).sum()
}

/// Runs until there are as many faults as wanted, or a run fails.
///
/// # Errors
/// A run that failed: its seed and what it found.
pub async fn campaign(campaign: &Campaign) -> Result<Vec<Outcome>> {
    let mut outcomes = read(&campaign.results)?;
    let mut seed = outcomes
        .last()
        .map_or(campaign.seed, |outcome| outcome.seed.wrapping_add(1));
    while faults(&outcomes) < campaign.faults {
        let schedule = Schedule::draw(seed, RUN_MS, &campaign.kinds);
        let outcome = run(Settings {
            schedule,
            history: campaign.folder.join(format!("chaos-{seed}.ndjson")),
            tells: false,
        })
        .await?;
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&campaign.results)?;
        writeln!(file, "{}", serde_json::to_string(&outcome)?)?;
        let failed = outcome.failed.clone();
        outcomes.push(outcome);
        eprintln!("seed {seed}: {} of {} faults", faults(&outcomes), campaign.faults);
        if let Some(failed) = failed {
            return Err(Failure::new(format!(
                "seed {seed} failed: cargo xtask chaos --seed {seed} --seconds {}\n{failed}",
                RUN_MS / 1_000
            )));
        }
        seed = seed.wrapping_add(1);
    }
    Ok(outcomes)
}
