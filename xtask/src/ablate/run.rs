//! Builds a copy, runs tests in it, and says what became of them.

use std::fs;
use std::process::Command;

use super::NOTHING;
use super::copy::Copy;
use super::outcome::{Outcome, verdicts};
use super::patch::Ablation;
use crate::servers::{Error, Result};

/// The test whose witness is asked by `--fire`.
const FIRE: &str = "test(a_minute_of_kills)";

/// Runs the tests that must fail, or those that were asked for. True if what must fail failed; without anything taken out, if
/// everything passed.
pub(super) fn tests(copy: &Copy, ablation: &Ablation, asked: Option<&str>) -> Result<bool> {
    let named = || {
        let named: Vec<String> = ablation
            .tests
            .iter()
            .map(|test| format!("test(/(^|::){test}$/)"))
            .collect();
        named.join(" or ")
    };
    let filterset = asked.map_or_else(named, str::to_owned);
    let outcome = Outcome::read(&nextest(copy, ablation, &filterset, None)?);
    for test in &outcome.failed {
        println!("    failed  {test}");
    }
    if ablation.name == NOTHING {
        println!(
            "    passed  {} of {}",
            outcome.passed.len(),
            outcome.passed.len() + outcome.failed.len()
        );
        return Ok(outcome.failed.is_empty() && !outcome.passed.is_empty());
    }
    if asked.is_some() {
        return Ok(!outcome.failed.is_empty());
    }
    for test in ablation
        .tests
        .iter()
        .filter(|test| !outcome.failed.contains(*test))
    {
        println!("    PASSED  {test}");
    }
    Ok(ablation.tests.iter().all(|test| outcome.failed.contains(test)))
}

/// What the witness counts. True if it found nothing where nothing was taken out.
pub(super) fn fire(copy: &Copy, ablation: &Ablation, seed: u64) -> Result<bool> {
    let output = nextest(copy, ablation, FIRE, Some(seed))?;
    let told = verdicts(&output);
    for (phase, findings) in ["the minute", "the redrive"].iter().zip(&told) {
        let findings: Vec<String> = findings
            .iter()
            .map(|(number, what)| format!("{number} {what}"))
            .collect();
        println!("    seed {seed}, {phase}: {}", findings.join(", "));
    }
    let outcome = Outcome::read(&output);
    let word = if outcome.failed.is_empty() {
        "passed"
    } else {
        "failed"
    };
    println!("    the test {word}");
    Ok(ablation.name != NOTHING || outcome.failed.is_empty() && told.len() == 2)
}

/// Builds the copy, runs these tests, and keeps what they print beside it.
fn nextest(copy: &Copy, ablation: &Ablation, filterset: &str, seed: Option<u64>) -> Result<String> {
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new("cargo");
        command
            .args(arguments)
            .current_dir(&copy.folder)
            .env("CARGO_TARGET_DIR", copy.folder.join("target"))
            .env("RUST_BACKTRACE", "0");
        command
    };
    // What is left without use warns, and that is all.
    let built = cargo(&["build", "--all-features", "--quiet", "-p", "outbox-relay"])
        .output()
        .map_err(Error::io("start cargo"))?;
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr).into_owned();
        return Err(Error::new(format!("{} does not build:\n{said}", ablation.name)));
    }
    let mut command = cargo(&["nextest", "run", "--all-features", "--color", "never"]);
    command.args(["-p", "outbox-core", "-p", "system-tests"]);
    command.args(["--status-level", "pass", "--final-status-level", "none"]);
    command.args(["--failure-output", "immediate", "--success-output", "immediate"]);
    command.args(["-E", filterset]);
    if let Some(seed) = seed {
        command.env("OUTBOX_TEST_SEED", seed.to_string());
    }
    let ran = command.output().map_err(Error::io("start cargo"))?;
    let mut output = String::from_utf8_lossy(&ran.stderr).into_owned();
    output.push_str(&String::from_utf8_lossy(&ran.stdout));
    let log = copy
        .folder
        .with_file_name(format!("ablation-{}.log", ablation.name));
    fs::write(&log, &output).map_err(Error::io("keep what the tests printed"))?;
    let outcome = Outcome::read(&output);
    if outcome.passed.is_empty() && outcome.failed.is_empty() {
        return Err(Error::new(format!(
            "{}: no test ran; see {}",
            ablation.name,
            log.display()
        )));
    }
    Ok(output)
}
