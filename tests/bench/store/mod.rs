//! How fast the event store appends, loads and projects, beside raw inserts and selects of the same rows on the same server, in turns:
//! in a store that is empty, and in one that is full.

use system_tests::Result;

mod append;

mod case;

mod ground;

mod load;

mod project;

mod rebuild;

use case::Case;
use ground::Ground;

use super::options::Options;
use super::report::{Facts, Line, Report, Series, TURNS};
use super::speed::servers;
use super::turn::{is_second_first, turns};

/// Events that the full store has.
const EVENTS: i64 = 10_000_000;

/// Rounds that count.
const RUNS: usize = 5;

const HEAD: &str = "The event store of a Postgres that writes to disk (`fsync = on`, `synchronous_commit = on`), empty first and then with 10,000,000 events
(`--events N`; `--quick`: 20,000). Beside each case stands what somebody would write who needs none of it: the same rows inserted into a table with the same
columns and a key of stream and version, selected from it, and a loop that selects rows and inserts one for each.

Before anything is measured the tables are vacuumed and a checkpoint is made. What the cases of the rounds before left is in the store too; *filled with*
is what was put in besides. Appends and loads cost the same whatever is stored, and so does a new subscription that names its categories. The
raw table has two indexes and the store six, and a new stream is a row of its own: a transaction that appends to a new one inserts two.

*Built anew* is from the order of a rebuild to its switch: a live projection stays live meanwhile, and both are compared before; beside it, too,
stand selects of the same events with an insert for each. The events of every projection are checked: each has one row, and none is applied
before its predecessor.
";

/// Runs every case, or those whose names have these words, before and after the store is filled.
pub(crate) async fn run(options: &Options) -> Result<Report> {
    let facts = Facts::of_machine();
    let events = options.events.unwrap_or(options.size(EVENTS, 20_000));
    let runs = options.runs(RUNS, 1);
    let cases = options.of(Case::all(options.quick), Case::to_string)?;
    let mut ground = Ground::prepare().await?;
    let mut lines = Vec::new();
    for stored in [0, events] {
        ground.fill(stored).await?;
        let mut series: Vec<[Series; 2]> = cases.iter().map(|_| [Series::rate(), Series::rate()]).collect();
        for run in options.rounds(runs) {
            for place in turns(cases.len(), run) {
                let (case, [ours, raw]) = (&cases[place], &mut series[place]);
                let first = match is_second_first(run) {
                    true => Some(case.raw(&mut ground).await?),
                    false => None,
                };
                let (operations, seconds) = case.ours(&mut ground).await?;
                let (raw_operations, raw_seconds) = match first {
                    Some(first) => first,
                    None => case.raw(&mut ground).await?,
                };
                eprintln!(
                    "run {run} of {runs}, {stored} events: {case}: {seconds:.2} s, raw {raw_seconds:.2} s"
                );
                if run > 0 {
                    ours.add(operations, seconds);
                    raw.add(raw_operations, raw_seconds);
                }
            }
        }
        for (case, [ours, raw]) in cases.iter().zip(series) {
            lines.push(line(case, stored, ours, raw));
        }
    }
    Ok(Report {
        name: "store",
        title: "How fast the event store is",
        head: HEAD,
        order: TURNS,
        runs: RUNS,
        lines,
        notes: Vec::new(),
        facts: servers::tell(facts, ground.world()).await?,
        is_quick: options.quick,
    })
}

fn line(case: &Case, stored: i64, ours: Series, raw: Series) -> Line {
    let (floor, aim) = case.must_reach();
    Line::new(format!("{case}; filled with {stored} events"), ours)
        .against("raw", raw)
        .must_reach(floor, aim)
}

/// The lines of its page, of which nothing was measured.
#[cfg(test)]
pub(crate) fn lines_of_nothing() -> Vec<Line> {
    let cases = Case::all(false);
    let of = |stored| {
        cases
            .iter()
            .map(move |case| line(case, stored, Series::rate(), Series::rate()))
    };
    of(0).chain(of(EVENTS)).collect()
}
