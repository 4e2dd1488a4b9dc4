//! Three runs with seeds of their own, each a minute of faults; in the third Redis loses data as well.

use fault_lab::chaos::{Kind, Schedule, Settings, run};
use system_tests::{Failure, Result};

const MINUTE_MS: u64 = 60_000;

async fn minute(seed: u64, losses: &[Kind]) -> Result {
    let folder = tempfile::tempdir()?;
    let mut kinds = Kind::all();
    kinds.extend(losses);
    let schedule = Schedule::draw(seed, MINUTE_MS, &kinds);
    let outcome = run(Settings {
        schedule,
        history: folder.path().join("history.ndjson"),
        tells: false,
    })
    .await?;
    let met = outcome.done.iter().filter(|done| done.has_met).count();
    eprintln!(
        "seed {seed}: {met} faults, {} events committed, {} of unknown outcome, {} effects, {} ms until all had arrived",
        outcome.committed, outcome.unknown, outcome.applied, outcome.quiet_ms
    );
    if let Some(failed) = outcome.failed {
        // Written where it stays: the folder goes with the test.
        let kept = folder.keep();
        let more = if losses.is_empty() { "" } else { " --losses" };
        return Err(Failure::new(format!(
            "seed {seed} failed; its history is in {}; again with: cargo xtask chaos --seed {seed} --seconds 60{more} --minimise 8\n{failed}",
            kept.display()
        )));
    }
    assert!(met >= 40, "only {met} faults");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_of_faults_from_seed_1_loses_doubles_and_turns_nothing() -> Result {
    minute(1, &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_of_faults_from_seed_2_loses_doubles_and_turns_nothing() -> Result {
    minute(2, &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_of_faults_from_seed_3_loses_doubles_and_turns_nothing() -> Result {
    minute(3, &Kind::losses()).await
}
