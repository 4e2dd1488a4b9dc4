//! `cargo xtask chaos`: seeded faults on servers of its own, and every crash point.
//!
//! This checks the arguments and finds the servers before the long build; the rest is `tests/lab`.

use std::process::Command;

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
    /// The numbers of a page, from the file of a campaign.
    Report(String),
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
    /// The file of a campaign that is to go on; in the folder, when it is not said.
    pub results: Option<String>,
    /// How many runs of a campaign at a time.
    pub jobs: usize,
    /// The machine has other work: a campaign's file tells it.
    pub shared: bool,
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
            results: None,
            jobs: 1,
            shared: false,
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
                "--continue" => request.results = Some(value()?.clone()),
                "--jobs" => request.jobs = usize::try_from(at_least_one(value()?)?).unwrap_or(1),
                "--report" => request.work = Work::Report(value()?.clone()),
                "--shared" => request.shared = true,
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
    become_lab("chaos", arguments, &describe())
}

/// What the sources are, for the file of a campaign.
fn describe() -> String {
    let words = ["describe", "--always", "--dirty", "--abbrev=12"];
    let said = Command::new("git").args(words).output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    said.ok()
        .filter(|commit| !commit.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
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
        assert_eq!(work("--report a"), Some(Work::Report("a".to_owned())));
        let going_on = parse("--faults 9 --continue a --jobs 2 --shared");
        let going_on = going_on
            .ok()
            .map(|request| (request.results, request.jobs, request.shared));
        assert_eq!(going_on, Some((Some("a".to_owned()), 2, true)));
        assert_eq!(work("--replay a.json"), Some(Work::Replay("a.json".to_owned())));
        for bad in [
            "--seed",
            "--jobs 0",
            "--continue",
            "--seed x",
            "--minutes 0",
            "--forever",
            "7",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
