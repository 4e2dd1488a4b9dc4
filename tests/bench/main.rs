//! `cargo xtask bench` builds and runs this: how fast a consumer applies what is on its streams, or what stays flat while a relay is
//! very far behind, or how fast the event store is.
//!
//! Every case is run several times, in turns, so that what else the machine does meets all of them alike. Each run is a
//! group of its own in a database of its own, and is checked: every event has its effect.

mod bounded;

mod case;

mod ground;

mod raw;

mod report;

mod store;

use system_tests::{Failure, Result};

use case::Case;
use ground::Ground;
use report::Series;

/// Events of one run.
const EVENTS: usize = 40_000;
const RUNS: usize = 5;

#[tokio::main]
async fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("consume") => consume(arguments.next().map_or(Ok(RUNS), |runs| runs.parse())?).await,
        Some("bounded") => bounded::run(arguments.next().map(|rows| rows.parse()).transpose()?).await,
        Some("store") => {
            let events = arguments.next().map(|events| events.parse()).transpose()?;
            store::run(events, arguments.next().as_deref()).await
        }
        _ => Err(Failure::new(
            "bench takes: consume [RUNS], bounded [ROWS], or store [EVENTS [WORDS OF A CASE]]",
        )),
    }
}

async fn consume(runs: usize) -> Result {
    let ground = Ground::prepare(EVENTS).await?;
    let cases = Case::all();
    let mut series: Vec<Series> = cases.iter().map(|case| Series::new(case.to_string())).collect();
    for run in 1..=runs {
        for (case, series) in cases.iter().zip(&mut series) {
            let seconds = case.run(&ground).await?;
            eprintln!("run {run} of {runs}: {case}: {seconds:.2} s");
            series.add(EVENTS, seconds);
        }
    }
    println!("{}", report::table(&cases, &series));
    Ok(())
}
