//! `cargo xtask demo`: the shop on real servers, with relays killed under it.
//!
//! This checks the arguments and finds the servers before the long build; the rest is `examples/demo`.

use crate::example::become_program;
use crate::servers::{Error, Kind, Permission, Result, ensure};

const SECONDS_MIN: u32 = 20;

/// Builds and becomes the demo.
///
/// # Errors
/// On other arguments, when a server is missing and may not be installed, and when the program cannot be built.
pub fn run(arguments: &[String]) -> Result<()> {
    check(arguments)?;
    let needed: Vec<Kind> = [("DATABASE_URL", Kind::Postgres), ("REDIS_URL", Kind::Redis)]
        .into_iter()
        .filter(|(variable, _)| std::env::var_os(variable).is_none_or(|url| url.is_empty()))
        .map(|(_, kind)| kind)
        .collect();
    ensure(&needed, Permission::Install)?;
    become_program("demo", arguments)
}

fn check(arguments: &[String]) -> Result<()> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--keep" => {}
            "--seconds" => {
                let seconds = arguments.next().and_then(|text| text.parse::<u32>().ok());
                if seconds.is_none_or(|seconds| seconds < SECONDS_MIN) {
                    return Err(Error::new(format!(
                        "--seconds must be a number of at least {SECONDS_MIN}"
                    )));
                }
            }
            other => {
                return Err(Error::new(format!(
                    "demo takes --seconds N and --keep, got {other:?}"
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn arguments_are_refused_before_the_build() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for good in ["", "--keep", "--seconds 20", "--seconds 90 --keep"] {
            assert!(check(&words(good)).is_ok(), "{good}");
        }
        for bad in ["--seconds", "--seconds 5", "--seconds x", "--forever"] {
            assert!(check(&words(bad)).is_err(), "{bad}");
        }
    }
}
