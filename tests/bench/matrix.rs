//! How batch size, concurrency and partitions change what a consumer applies in a second, beside raw inserts of its effects.

use system_tests::Result;

use crate::case::Case;
use crate::ground::Ground;
use crate::options::Options;
use crate::report::{Facts, Line, Report, Series, TURNS};
use crate::turn::turns;

/// Events of one run.
const EVENTS: usize = 40_000;

/// Rounds that count.
const RUNS: usize = 5;

const HEAD: &str = "A Postgres that writes to disk (`fsync = on`, `synchronous_commit = on`) and a Redis; a real relay publishes 40,000 events (`--quick`: 4,000)
of 1,000 keys on a topic of one partition and on one of eight, and then they are applied again and again: each run is a new group in a
database of its own, and is checked, every event has its effect. The effect is one row. Times are from the start of the member to the
last commit, with everything that takes: leases, groups, the first transactions, which have few events.

The measure is what Postgres can do: raw inserts of the same rows, one statement each, as many to a transaction and on as many
connections.
";

/// How to read it, an item each.
const READ_IT: [&str; 5] = [
    "**Batches against one by one**: what many events of one transaction save against one event to a transaction, with one transaction at a \
     time, is the flush of the write-ahead log.",
    "**Concurrency** helps as long as cores are left: Postgres, Redis and the consumer share those of this machine. The raw inserts of four and \
     eight connections have all of them for themselves, and each statement of theirs is a row; an event of a consumer has three statements in \
     its turn (its savepoint, the handler's, the end of the savepoint) besides its part of those for all: the lease, the inbox, the keys that wait.",
    "**`on_batch`** leaves these three out: one statement for all events of a transaction. Use it where that is possible.",
    "**Eight partitions** are for more members on more machines; on one machine they share its cores.",
    "The statement that enters events into the inbox looks for each of them by key, whatever the plan \
     ([`events_are_looked_for_by_key_although_the_inbox_was_empty_when_it_was_planned`](../../tests/path/consume/days.rs)): planned while the inbox \
     was empty, it once read all of it for each transaction until the server had its first statistics.",
];

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let facts = Facts::of_machine();
    let runs = options.runs(RUNS, 1);
    let cases = wanted(options)?;
    let ground = Ground::prepare(options.size(EVENTS, EVENTS / 10)).await?;
    let mut series: Vec<Series> = cases.iter().map(|_| Series::rate()).collect();
    for run in options.rounds(runs) {
        for place in turns(cases.len(), run) {
            let (case, series) = (cases[place], &mut series[place]);
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
        order: TURNS,
        runs: RUNS,
        lines,
        notes: READ_IT.map(str::to_owned).to_vec(),
        facts,
        is_quick: options.quick,
    })
}

/// Those that are wanted, and what they are compared with.
fn wanted(options: &Options) -> Result<Vec<Case>> {
    let all = Case::all();
    let wanted = options.of(all.clone(), Case::to_string)?;
    let is_needed = |case: &Case| wanted.iter().any(|one| one == case || one.measure() == *case);
    Ok(all.into_iter().filter(is_needed).collect())
}
