//! How fast the event store appends, loads and projects, beside raw inserts and selects of the same rows on the same server, in turns:
//! in a store that is empty, and in one that is full.

use system_tests::{Failure, Result};

mod append;

mod case;

mod ground;

mod load;

mod project;

use case::Case;
use ground::Ground;

use super::report::Series;

const RUNS: usize = 5;
/// Events that the full store has.
const EVENTS: i64 = 1_000_000;

/// Runs every case, or those whose names have these words, before and after the store is filled.
pub(crate) async fn run(events: Option<i64>, only: Option<&str>) -> Result {
    let events = events.unwrap_or(EVENTS);
    let mut cases = Case::all();
    cases.retain(|case| only.is_none_or(|words| case.to_string().contains(words)));
    if cases.is_empty() {
        return Err(Failure::new("no case has these words in its name"));
    }
    let mut ground = Ground::prepare().await?;
    for stored in [0, events] {
        ground.fill(stored).await?;
        let mut series: Vec<[Series; 2]> = cases
            .iter()
            .map(|case| [Series::new(case.to_string()), Series::new(format!("raw: {case}"))])
            .collect();
        for run in 1..=RUNS {
            for (case, [ours, raw]) in cases.iter().zip(&mut series) {
                let (operations, seconds) = case.ours(&mut ground).await?;
                ours.add(operations, seconds);
                let (operations, raw_seconds) = case.raw(&mut ground).await?;
                raw.add(operations, raw_seconds);
                eprintln!(
                    "run {run} of {RUNS}, {stored} events: {case}: {seconds:.2} s, raw {raw_seconds:.2} s"
                );
            }
        }
        println!("{}", table(stored, &series));
    }
    Ok(())
}

/// One line per case: ours, the raw one, and their ratio.
fn table(stored: i64, series: &[[Series; 2]]) -> String {
    let mut table = format!(
        "{stored} events in the store:\n\n| what | a second | range | raw, a second | range | of raw |\n|---|---|---|---|---|---|\n"
    );
    for [ours, raw] in series {
        let ((low, high), (raw_low, raw_high)) = (ours.range(), raw.range());
        table += &format!(
            "| {} | {:.0} | {low:.0} to {high:.0} | {:.0} | {raw_low:.0} to {raw_high:.0} | {:.2} |\n",
            ours.name(),
            ours.median(),
            raw.median(),
            ours.median() / raw.median()
        );
    }
    table
}
