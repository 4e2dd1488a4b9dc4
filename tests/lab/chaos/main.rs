//! Three runs with seeds of their own, each a minute of faults; in the third Redis loses data as well.

use fault_lab::chaos::campaign::kept;
use fault_lab::chaos::{Kind, Schedule};
use system_tests::{Failure, Result};

const MINUTE_MS: u64 = 60_000;
/// What a test has time for, if a run fails.
const MINIMISING_RUNS: usize = 2;

async fn minute(seed: u64, losses: bool) -> Result {
    let folder = tempfile::tempdir()?;
    let schedule = Schedule::draw(seed, MINUTE_MS, &Kind::of_a_run(losses));
    // Written where it stays, if it fails: the folder goes with the test.
    let (outcome, fewest) = kept(&schedule, MINIMISING_RUNS, folder.path(), false).await?;
    let met = outcome.met();
    eprintln!(
        "seed {seed}: {met} faults, {} events committed, {} of unknown outcome, {} effects, {} ms until all had arrived",
        outcome.committed, outcome.unknown, outcome.applied, outcome.quiet_ms
    );
    if let Some(failed) = outcome.failed {
        let folder = folder.keep();
        return Err(Failure::new(format!(
            "seed {seed} failed, also with {fewest:?} of its faults; histories and schedules are in {}; again with: cargo xtask \
             chaos --replay {0}/chaos-{seed}-fewest.json\n{failed}",
            folder.display()
        )));
    }
    assert!(met >= 100, "only {met} faults");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_of_faults_from_seed_1_loses_doubles_and_turns_nothing() -> Result {
    minute(1, false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_of_faults_from_seed_2_loses_doubles_and_turns_nothing() -> Result {
    minute(2, false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_of_faults_from_seed_3_loses_doubles_and_turns_nothing() -> Result {
    minute(3, true).await
}
