//! How batch size, concurrency and partitions change what a consumer applies in a second, beside raw inserts of its effects.

use system_tests::Result;

use crate::case::Case;
use crate::ground::Ground;
use crate::options::Options;
use crate::report::{Facts, Line, Report, Series};

/// Events of one run.
const EVENTS: usize = 40_000;

const HEAD: &str = "A Postgres that writes to disk (`fsync = on`, `synchronous_commit = on`) and a Redis; a real relay publishes 40,000 events (`--quick`: 4,000)
of 1,000 keys on a topic of one partition and on one of eight, and then they are applied again and again: each run is a new group in a
database of its own, and is checked, every event has its effect. The effect is one row. Times are from the start of the member to the
last commit, with everything that takes: leases, groups, the first transactions, which have few events.

The measure is what Postgres can do: raw inserts of the same rows, one statement each, as many to a transaction and on as many
connections.
";

pub(crate) async fn run(options: &Options) -> Result<Report> {
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
        name: "matrix",
        title: "How a consumer's settings change its speed",
        head: HEAD,
        lines,
        notes: Vec::new(),
        facts,
        is_quick: options.quick,
    })
}
