//! `cargo xtask bench` builds and runs this: how near the path is to what Postgres and Redis can do alone, what stays flat while a relay
//! is very far behind, and how fast the event store is.
//!
//! Every measure is a module with `run(&Options) -> Result<Report>`, an arm in [`measure`] and a name in `xtask::bench`. Every case is
//! run several times, in turns with what it is compared with, so that what else the machine does meets all of them alike; and every
//! run is checked, so that nothing that was not done is timed.

mod bounded;

mod case;

mod ground;

mod limits;

mod matrix;

mod options;

mod peers;

mod raw;

mod report;

mod speed;

mod store;

mod turn;

use std::time::Instant;

use system_tests::{Failure, Result};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use options::Options;
use report::Report;

#[tokio::main]
async fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        return Err(Failure::new("bench takes the name of a measure"));
    };
    if name == speed::through::member::COMMAND {
        return speed::through::member::run(rest).await;
    }
    let options = Options::parse(rest)?;
    // What is given up is dropped, and takes its servers, processes and files with it.
    tokio::select! {
        done = run(name, &options, rest) => done,
        told = told_to_end() => Err(Failure::new(format!("{name}: given up after {}", told?))),
    }
}

async fn run(name: &str, options: &Options, rest: &[String]) -> Result {
    match name {
        "all" => all(rest).await,
        "bounded" => {
            options.whole(name)?;
            bounded::run(options).await
        }
        // These write pages with tables of their own.
        "limits" => limits::run(options),
        "peers" => peers::run(options).await,
        name => {
            let mut report = measure(name, options).await?;
            report.facts.add_if_any("asked for", options.told());
            report.write(options.folder(report.runs).as_deref())?;
            report.verdict()
        }
    }
}

/// Waits for a signal that asks this program to end, and says which.
async fn told_to_end() -> Result<&'static str> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

async fn measure(name: &str, options: &Options) -> Result<Report> {
    match name {
        "matrix" => matrix::run(options).await,
        "commit" => speed::commit::run(options).await,
        "pinned" => speed::pinned::run(options).await,
        "latency" => speed::latency::run(options).await,
        "drain" => speed::drain::run(options).await,
        "consume" => speed::consume::run(options).await,
        "backlog" => speed::backlog::run(options).await,
        "through" => speed::through::run(options).await,
        "idle" => speed::idle::run(options).await,
        "takeover" => speed::takeover::run(options).await,
        "store" => store::run(options).await,
        other => Err(Failure::new(format!("there is no measure {other:?}"))),
    }
}

/// Each in a process of its own, so that one that fails, however it does, ends itself only.
async fn all(rest: &[String]) -> Result {
    let program = std::env::current_exe()?;
    let mut failed = Vec::new();
    let began = Instant::now();
    for (number, name) in (1..).zip(xtask::bench::ALL) {
        eprintln!("=== {number} of {}: {name}", xtask::bench::ALL.len());
        let since = Instant::now();
        let mut child = Command::new(&program).arg(name).args(rest).spawn()?;
        let ended = tokio::select! {
            ended = child.wait() => ended?,
            told = told_to_end() => {
                // By the terminal it was told itself.
                if let Some(id) = child.id() {
                    xtask::servers::signal(id, "TERM").ok();
                }
                child.wait().await?;
                return Err(Failure::new(format!("{name}: given up after {}", told?)));
            }
        };
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
