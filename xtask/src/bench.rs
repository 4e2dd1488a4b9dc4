//! `cargo xtask bench consume`: throughput on this machine, to compare builds with each other; `bench bounded`: what stays flat; `bench
//! store`: the event store beside raw inserts and selects.
//!
//! Not part of what a change must pass: how fast a machine is decides nothing.

use crate::example::become_release;
use crate::servers::{Error, Kind, Permission, Result, ensure};

/// Builds for speed and becomes the benchmark.
///
/// # Errors
/// On other arguments, when a server is missing and may not be installed, and when the program cannot be built.
pub fn run(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let is_count = |text: &str| text.parse::<u32>().is_ok_and(|count| count > 0);
    let program: Vec<&str> = match words.as_slice() {
        [what @ ("consume" | "bounded" | "store")] => vec![what],
        ["consume", "--runs", runs] if is_count(runs) => vec!["consume", runs],
        ["bounded", "--rows", rows] if is_count(rows) => vec!["bounded", rows],
        ["store", "--events", events] if is_count(events) => vec!["store", events],
        ["store", "--events", events, "--only", case] if is_count(events) => vec!["store", events, case],
        _ => {
            return Err(Error::new(
                "bench takes: consume [--runs N], bounded [--rows N], or store [--events N [--only WORDS]]",
            ));
        }
    };
    ensure(&[Kind::Postgres, Kind::Redis], Permission::Install)?;
    let program: Vec<String> = program.into_iter().map(str::to_owned).collect();
    become_release("bench", &program)
}

#[cfg(test)]
mod tests {
    use super::run;

    #[test]
    fn arguments_are_refused_before_the_build() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for bad in [
            "",
            "publish",
            "consume --runs",
            "consume --runs 0",
            "consume --fast",
            "bounded --runs 3",
            "bounded --rows 0",
            "store --events x",
            "store --only load",
        ] {
            assert!(run(&words(bad)).is_err(), "{bad}");
        }
    }
}
