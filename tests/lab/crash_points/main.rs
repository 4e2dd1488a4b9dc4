//! Every crash point is visited: by an exit each time, and by one of the other actions, which another seed chooses anew.

use fault_lab::crash::{Action, Process, Row, TABLE, visit_all};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use system_tests::Result;

/// Printed, and taken from outside to repeat a run.
fn seed() -> Result<u64> {
    let seed = match std::env::var("OUTBOX_TEST_SEED") {
        Ok(seed) => seed.parse()?,
        Err(_) => rand::random(),
    };
    eprintln!("OUTBOX_TEST_SEED={seed}");
    Ok(seed)
}

/// What may be chosen out of, for one visit only: `OUTBOX_TEST_POINT=name`.
fn rows(process: Process) -> Vec<Row> {
    let only = std::env::var("OUTBOX_TEST_POINT").ok();
    let is_wanted =
        |row: &&Row| row.process == process && only.as_ref().is_none_or(|name| name == row.point.name());
    TABLE.iter().filter(is_wanted).copied().collect()
}

async fn exit(process: Process) -> Result {
    let visits = rows(process).into_iter().map(|row| (row, Action::Exit));
    visit_all(visits.collect(), seed()?).await
}

async fn another_action(process: Process) -> Result {
    let seed = seed()?;
    let mut random = StdRng::seed_from_u64(seed);
    // `OUTBOX_TEST_ACTION=panic`: this one at every point.
    let only = std::env::var("OUTBOX_TEST_ACTION").ok();
    let mut others = vec![Action::Panic, Action::Error, Action::Stall];
    others.retain(|action| only.as_ref().is_none_or(|word| word == action.word()));
    let visits = rows(process)
        .into_iter()
        .map(|row| (row, others[random.random_range(0..others.len())]));
    visit_all(visits.collect(), seed).await
}

#[tokio::test]
async fn a_relay_that_ends_at_any_point_loses_doubles_and_turns_nothing() -> Result {
    exit(Process::Relay).await
}

#[tokio::test]
async fn a_relay_that_panics_fails_or_stalls_at_any_point_loses_doubles_and_turns_nothing() -> Result {
    another_action(Process::Relay).await
}

#[tokio::test]
async fn a_member_that_ends_at_any_point_loses_doubles_and_turns_nothing() -> Result {
    exit(Process::Member).await
}

#[tokio::test]
async fn a_member_that_panics_fails_or_stalls_at_any_point_loses_doubles_and_turns_nothing() -> Result {
    another_action(Process::Member).await
}

#[tokio::test]
async fn a_command_that_ends_at_any_point_is_run_again() -> Result {
    exit(Process::Command).await
}

#[tokio::test]
async fn a_command_that_panics_fails_or_stalls_at_any_point_is_run_again() -> Result {
    another_action(Process::Command).await
}
