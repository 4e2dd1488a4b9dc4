//! `cargo xtask chaos`: seeded faults on servers of its own, and every crash point.
//!
//! This checks the arguments and finds the servers before the long build; the rest is `tests/lab`.

use crate::example::become_lab;
use crate::servers::{Error, Kind, Permission, Result, ensure};

/// How long faults come when nothing else is said.
const SECONDS: u64 = 60;
/// Where histories and results go.
const FOLDER: &str = "target/chaos";

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// One run, with faults for so long.
    Seconds(u64),
    /// Runs until so many faults were done, and a page about them.
    Faults(usize),
    /// One run, as it is written in a file.
    Replay(String),
    /// Every crash point with every action.
    CrashPoints,
    /// The kinds of faults.
    List,
}

/// What was asked for on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub work: Work,
    /// Where chance comes from.
    pub seed: Option<u64>,
    /// With the faults by which Redis loses data.
    pub losses: bool,
    /// How many runs may be made to find fewer faults with which it still fails.
    pub minimise: usize,
    /// Where histories and results go.
    pub folder: String,
}

impl Request {
    /// Reads the arguments.
    ///
    /// # Errors
    /// On any that it does not know.
    pub fn parse(arguments: &[String]) -> Result<Self> {
        let mut request = Self {
            work: Work::Seconds(SECONDS),
            seed: None,
            losses: false,
            minimise: 0,
            folder: FOLDER.to_owned(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| Error::new(format!("{argument} needs a value")))
            };
            match argument.as_str() {
                "--seed" => request.seed = Some(number(value()?)?),
                "--minutes" => request.work = Work::Seconds(60 * at_least_one(value()?)?),
                "--seconds" => request.work = Work::Seconds(at_least_one(value()?)?),
                "--faults" => {
                    request.work =
                        Work::Faults(usize::try_from(at_least_one(value()?)?).unwrap_or(usize::MAX));
                }
                "--replay" => request.work = Work::Replay(value()?.clone()),
                "--minimise" => request.minimise = usize::try_from(number(value()?)?).unwrap_or(usize::MAX),
                "--folder" => request.folder = value()?.clone(),
                "--losses" => request.losses = true,
                "--crash-points" => request.work = Work::CrashPoints,
                "--list" => request.work = Work::List,
                other => return Err(Error::new(format!("chaos does not know {other:?}"))),
            }
        }
        Ok(request)
    }
}

fn number(text: &str) -> Result<u64> {
    text.parse()
        .map_err(|_| Error::new(format!("{text:?} is not a number")))
}

fn at_least_one(text: &str) -> Result<u64> {
    match number(text)? {
        0 => Err(Error::new("0 is not enough")),
        number => Ok(number),
    }
}

/// Builds and becomes the program.
///
/// # Errors
/// On other arguments, when a server is missing and may not be installed, and when the program cannot be built.
pub fn run(arguments: &[String]) -> Result<()> {
    Request::parse(arguments)?;
    ensure(&[Kind::Postgres, Kind::Redis], Permission::Install)?;
    become_lab("chaos", arguments)
}

#[cfg(test)]
mod tests {
    use super::{Request, Work};

    #[test]
    fn arguments_are_refused_before_the_build() {
        let parse = |text: &str| {
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            Request::parse(&words)
        };
        let work = |text: &str| parse(text).ok().map(|request| request.work);
        assert_eq!(work(""), Some(Work::Seconds(60)));
        assert_eq!(work("--seed 7 --minutes 2"), Some(Work::Seconds(120)));
        assert_eq!(work("--faults 10000 --losses"), Some(Work::Faults(10_000)));
        assert_eq!(work("--replay a.json"), Some(Work::Replay("a.json".to_owned())));
        for bad in ["--seed", "--seed x", "--minutes 0", "--forever", "7"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
