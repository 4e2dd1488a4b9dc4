//! `cargo xtask test`: everything a change must pass, from a fresh clone, in one command.
//!
//! The lints and doctests come first and do not stop the rest, so that one run tells everything; the tests come last, so
//! that their summary is the last thing to read.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::servers::{Error, Kind, Permission, Result, ensure};

/// What `--quick` leaves out: what kills, fills, storms or loses data, which takes minutes.
const LONG: [&str; 6] = ["fault", "rows", "loss", "past", "chaos", "crash_points"];

/// One command of the gate.
struct Step {
    title: &'static str,
    arguments: Vec<String>,
}

impl Step {
    fn new(title: &'static str, arguments: &str) -> Self {
        Self {
            title,
            arguments: arguments.split(' ').map(str::to_owned).collect(),
        }
    }
}

/// What was asked for on the command line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    quick: bool,
    install_deny: bool,
    for_nextest: Vec<String>,
}

impl Request {
    fn parse(arguments: Vec<String>) -> Self {
        let mut request = Self::default();
        for argument in arguments {
            match argument.as_str() {
                "--quick" => request.quick = true,
                "--install-deny" => request.install_deny = true,
                _ => request.for_nextest.push(argument),
            }
        }
        request
    }
}

/// Runs the gate.
///
/// # Errors
/// Names the steps that failed; what they found is on standard error already.
pub fn run(arguments: Vec<String>) -> Result<()> {
    let request = Request::parse(arguments);
    ensure(
        &[Kind::Postgres, Kind::Redis, Kind::PgBouncer],
        Permission::Install,
    )?;
    need_tool("nextest", "cargo-nextest")?;
    let mut steps = Vec::new();
    if !request.quick {
        steps.push(Step::new("formatting", "fmt --all --check"));
        steps.push(Step::new(
            "clippy",
            "clippy --workspace --all-targets --all-features --quiet -- --deny warnings",
        ));
        if has_tool("deny") || request.install_deny {
            need_tool("deny", "cargo-deny")?;
            // The licences of every platform's dependencies are read, not only of those that are built here.
            steps.push(Step::new("dependencies", "fetch --locked --quiet"));
            steps.push(Step::new(
                "licences, bans and sources",
                "deny --offline --all-features check bans licenses sources",
            ));
        } else {
            eprintln!(
                "SKIPPED: licences, bans and sources of dependencies. cargo-deny is not installed: add --install-deny"
            );
        }
    }
    // The tests start the binary itself; built with the same features, it shares everything with them.
    steps.push(Step::new(
        "build",
        "build --workspace --all-features --bins --quiet",
    ));
    if !request.quick {
        steps.push(Step::new(
            "doctests",
            "test --doc --workspace --all-features --quiet",
        ));
    }
    let mut tests = Step::new("tests", "nextest run --workspace --all-features");
    if request.quick {
        tests.arguments.extend(["--filterset".to_owned(), quick()]);
    }
    tests.arguments.extend(request.for_nextest);
    steps.push(tests);
    let failed: Vec<&str> = steps
        .iter()
        .filter(|step| !passes(step))
        .map(|step| step.title)
        .collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Error::new(format!("failed: {}", failed.join(", "))))
    }
}

/// The tests that are left of all.
fn quick() -> String {
    let long: Vec<String> = LONG.iter().map(|name| format!("binary({name})")).collect();
    format!("not ({})", long.join(" or "))
}

fn passes(step: &Step) -> bool {
    eprintln!("== {}: cargo {}", step.title, step.arguments.join(" "));
    let begun = Instant::now();
    let outcome = Command::new("cargo").args(&step.arguments).status();
    let passed = outcome.as_ref().is_ok_and(std::process::ExitStatus::success);
    if !passed {
        let why = outcome.map_or_else(|error| error.to_string(), |status| status.to_string());
        eprintln!(
            "== {} FAILED after {} s: {why}",
            step.title,
            begun.elapsed().as_secs()
        );
    }
    passed
}

fn has_tool(command: &str) -> bool {
    Command::new("cargo")
        .args([command, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

pub(crate) fn need_tool(command: &str, package: &str) -> Result<()> {
    if has_tool(command) {
        return Ok(());
    }
    eprintln!("Not found: {package}. Installing it with cargo, which takes some minutes.");
    let status = Command::new("cargo")
        .args(["install", package, "--locked"])
        .status();
    if status.is_ok_and(|status| status.success()) && has_tool(command) {
        Ok(())
    } else {
        Err(Error::new(format!(
            "{package} could not be installed: run `cargo install {package} --locked` and see why"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::{LONG, Request, quick};

    #[test]
    fn what_is_not_ours_goes_to_nextest() {
        let arguments = ["--quick", "-E", "test(append)", "--no-capture"]
            .map(str::to_owned)
            .to_vec();
        let request = Request::parse(arguments);
        assert!(request.quick && !request.install_deny);
        assert_eq!(request.for_nextest, ["-E", "test(append)", "--no-capture"]);
    }

    #[test]
    fn what_is_left_out_of_a_quick_run_exists() {
        let manifests = concat!(
            include_str!("../../tests/Cargo.toml"),
            include_str!("../../tests/lab/Cargo.toml")
        );
        for name in LONG {
            assert!(
                manifests.contains(&format!("[[test]]\nname = \"{name}\"")),
                "no test is called {name}"
            );
        }
        assert!(quick().starts_with("not (binary(fault) or binary(rows)"));
    }
}
