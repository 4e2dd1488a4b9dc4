//! Every crash point is visited: by an exit each time, and by one of the other actions, in turn: after three days all of them were
//! visited by all. `cargo xtask chaos --crash-points` goes through all of them at once.

use fault_lab::crash::{Action, Process, Row, TABLE, visit_all};
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

/// Whose turn it is: a day later it is the next action's. Printed, and taken from outside to repeat a run.
fn turn() -> Result<usize> {
    let turn = match std::env::var("OUTBOX_TEST_TURN") {
        Ok(turn) => turn.parse()?,
        Err(_) => usize::try_from(std::time::UNIX_EPOCH.elapsed()?.as_secs() / 86_400)?,
    };
    eprintln!("OUTBOX_TEST_TURN={turn}");
    Ok(turn)
}

async fn another_action(process: Process) -> Result {
    let (seed, turn) = (seed()?, turn()?);
    // `OUTBOX_TEST_ACTION=panic`: this one at every point.
    let only = std::env::var("OUTBOX_TEST_ACTION").ok();
    let mut others = vec![Action::Panic, Action::Error, Action::Stall];
    others.retain(|action| only.as_ref().is_none_or(|word| word == action.word()));
    let in_turn = others.iter().copied().cycle().skip(turn % others.len().max(1));
    visit_all(rows(process).into_iter().zip(in_turn).collect(), seed).await
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
