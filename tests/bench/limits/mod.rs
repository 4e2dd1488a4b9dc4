//! `cargo xtask bench limits`: from what the other measures wrote, where one of each part ends, how many of each a rate needs, and a
//! simulation of queueing at a million events a second.
//!
//! It starts nothing and measures nothing. Authoritative are the JSON files of docs/benchmarks; what is missing there is told on the
//! page. The same files give the same page.

mod assumed;

mod chart;

mod ends;

mod known;

mod layout;

mod page;

mod prose;

mod quantity;

mod simulation;

mod study;

mod tables;

mod wanted;

use std::path::PathBuf;
use std::time::Instant;

use system_tests::{Failure, Result};

use super::options::Options;
use assumed::Assumed;
use known::Known;
use page::Page;
use study::Study;

/// Events a second of the simulation; a fiftieth of it is quick, and one bound.
const RATE: (f64, f64) = (1e6, 2e4);
/// Bounds of p99, in seconds, for which the fewest are looked for.
const BOUNDS: [f64; 3] = [0.025, 0.05, 0.25];
const FOLDER: &str = "docs/benchmarks";
/// It has none of its own: as many as those have that it reads.
const RUNS: usize = 5;

/// Reads, computes, simulates, writes.
pub(crate) fn run(options: &Options) -> Result {
    options.whole("limits")?;
    let begun = Instant::now();
    let folder = options.folder(RUNS);
    let read = folder.clone().unwrap_or_else(|| PathBuf::from(FOLDER));
    let (known, assumed) = (Known::read(&read)?, Assumed::new());
    let costs = layout::costs(&known, &assumed);
    let study = Study::make(
        costs,
        &assumed,
        options.size(RATE.0, RATE.1),
        options.size(&BOUNDS[..], &BOUNDS[1..2]),
    );
    let page = Page {
        ends: ends::ends(&known, &assumed),
        known,
        assumed,
        study,
    };
    let text = page.markdown();
    println!("{text}");
    let counts = page
        .study
        .scenarios
        .iter()
        .map(|scenario| scenario.outcome.applied.count());
    let events: u64 = counts.sum();
    if events == 0 {
        return Err(Failure::new("limits: nothing happened: no event came through"));
    }
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("{events} events simulated in {seconds:.1} s");
    match folder {
        Some(folder) => page.write(&folder, &text),
        None => Ok(()),
    }
}
