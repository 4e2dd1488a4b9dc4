//! `cargo xtask bench` builds and runs this: how near the path is to what Postgres and Redis can do alone, what stays flat while a relay
//! is very far behind, and how fast the event store is.
//!
//! Every measure is a module with `run(&Options) -> Result<Report>`, an arm in [`measure`] and a name in `xtask::bench`. Every case is
//! run several times, in turns with what it is compared with, so that what else the machine does meets all of them alike; and every
//! run is checked, so that nothing that was not done is timed.

mod bounded;

mod case;

mod ground;

mod options;

mod raw;

mod report;

mod speed;

mod store;

use std::process::Command;
use std::time::Instant;

use system_tests::{Failure, Result};

use case::Case;
use ground::Ground;
use options::Options;
use report::{Facts, Line, Report, Series};

/// Events of one run of a consumer.
const EVENTS: usize = 40_000;

#[tokio::main]
async fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        return Err(Failure::new("bench takes the name of a measure"));
    };
    let options = Options::parse(rest)?;
    match name.as_str() {
        "all" => all(rest),
        "bounded" => bounded::run(options.events.map(u64::try_from).transpose()?).await,
        name => {
            let report = measure(name, &options).await?;
            report.write(options.folder().as_deref())?;
            report.verdict()
        }
    }
}

async fn measure(name: &str, options: &Options) -> Result<Report> {
    match name {
        "consume" => consume(options).await,
        "drain" => speed::drain::run(options).await,
        "store" => store::run(options).await,
        other => Err(Failure::new(format!("there is no measure {other:?}"))),
    }
}

/// Each in a process of its own, so that one that fails, however it does, ends itself only.
fn all(rest: &[String]) -> Result {
    let program = std::env::current_exe()?;
    let mut failed = Vec::new();
    let began = Instant::now();
    for (number, name) in (1..).zip(xtask::bench::ALL) {
        eprintln!("=== {number} of {}: {name}", xtask::bench::ALL.len());
        let since = Instant::now();
        let ended = Command::new(&program).arg(name).args(rest).status()?;
        eprintln!("=== {name}: {ended}, {} s", since.elapsed().as_secs());
        if !ended.success() {
            failed.push(*name);
        }
    }
    eprintln!("=== all of it: {} s", began.elapsed().as_secs());
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "failed, or below a floor: {}",
            failed.join(", ")
        ))),
    }
}

const CONSUME_HEAD: &str = "A Postgres that writes to disk (`fsync = on`, `synchronous_commit = on`) and a Redis; a real relay publishes 40,000 events (`--quick`: 4,000)
of 1,000 keys on a topic of one partition and on one of eight, and then they are applied again and again: each run is a new group in a
database of its own, and is checked, every event has its effect. The effect is one row. Times are from the start of the member to the
last commit, with everything that takes: leases, groups, the first transactions, which have few events.

The measure is what Postgres can do: raw inserts of the same rows, one statement each, as many to a transaction and on as many
connections.
";

async fn consume(options: &Options) -> Result<Report> {
    let facts = Facts::of_machine();
    let runs = options.runs(5, 1);
    let ground = Ground::prepare(options.size(EVENTS, EVENTS / 10)).await?;
    let cases = Case::all();
    let mut series: Vec<Series> = cases.iter().map(|_| Series::rate()).collect();
    for run in 0..=runs {
        for (case, series) in cases.iter().zip(&mut series) {
            let seconds = case.run(&ground).await?;
            eprintln!("run {run} of {runs}: {case}: {seconds:.2} s");
            if run > 0 {
                series.add(ground.events(), seconds);
            }
        }
    }
    let mut lines = Vec::new();
    for (case, own) in cases.iter().zip(&series) {
        let raw = cases.iter().position(|other| *other == case.measure());
        if let Some(raw) = raw.filter(|raw| cases[*raw] != *case) {
            lines.push(Line::new(case.to_string(), own.clone()).against("raw inserts", series[raw].clone()));
        }
    }
    Ok(Report {
        name: "consume",
        title: "How fast a consumer applies",
        head: CONSUME_HEAD,
        lines,
        notes: Vec::new(),
        facts,
        is_quick: options.quick,
    })
}
