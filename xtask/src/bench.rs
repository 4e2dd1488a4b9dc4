//! `cargo xtask bench consume`: throughput on this machine, to compare builds with each other.
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
    let runs = match words.as_slice() {
        ["consume"] => None,
        ["consume", "--runs", runs] if runs.parse::<u32>().is_ok_and(|runs| runs > 0) => Some(*runs),
        _ => return Err(Error::new("bench takes: consume [--runs N]")),
    };
    ensure(&[Kind::Postgres, Kind::Redis], Permission::Install)?;
    let mut arguments = vec!["consume".to_owned()];
    arguments.extend(runs.map(str::to_owned));
    become_release("bench", &arguments)
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
        ] {
            assert!(run(&words(bad)).is_err(), "{bad}");
        }
    }
}
