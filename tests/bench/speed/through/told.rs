//! Pure: what a page says of the runs of a case.

use std::collections::BTreeMap;

use super::super::quantile::Quantiles;
use super::run::Run;
use crate::report::{Better, Line, Series};

/// What an end of the way is called, and how late it was.
type End = (&'static str, fn(&Run) -> &Quantiles);

const PARTS: [&str; 4] = ["relay", "Postgres", "Redis", "consumer"];

/// One run, for whoever watches.
pub(super) fn in_words(run: &Run) -> String {
    let of = |quantiles: &Quantiles| {
        format!(
            "p50 {:.2} p99 {:.2} p99.9 {:.2} ms ({})",
            quantiles.at(0.5),
            quantiles.at(0.99),
            quantiles.at(0.999),
            quantiles.len()
        )
    };
    format!(
        "record {}; seen {}; appended {}; CPU {:.1?}",
        of(&run.record),
        of(&run.seen),
        of(&run.appended),
        run.cpu
    )
}

/// What the page has of one case.
pub(super) fn lines_of(title: &str, runs: &[Run]) -> Vec<Line> {
    let mut lines = Vec::new();
    let ends: [End; 3] = [
        ("to the commit record", |run| &run.record),
        ("to another client", |run| &run.seen),
        ("to the answer of the append", |run| &run.appended),
    ];
    for (end, quantiles) in ends {
        for (name, part) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            let mut series = Series::delay();
            runs.iter().for_each(|run| series.push(quantiles(run).at(part)));
            let line = Line::new(format!("{title}: {end}, {name}"), series);
            let is_judged = name == "p99" && !end.ends_with("append");
            lines.push(if is_judged {
                line.must_reach(50.0, 15.0)
            } else {
                line
            });
        }
    }
    for (place, part) in PARTS.into_iter().enumerate() {
        let mut series = Series::new("s", Better::Lower);
        runs.iter().for_each(|run| series.push(run.cpu[place]));
        lines.push(Line::new(
            format!("{title}: CPU of {part} for a million events"),
            series,
        ));
    }
    lines
}

/// Whose the CPU of Postgres was.
pub(super) fn sessions_note(title: &str, runs: &[Run]) -> String {
    let mut series = BTreeMap::<&str, Series>::new();
    for run in runs {
        for (who, seconds) in &run.sessions {
            let series = series
                .entry(who)
                .or_insert_with(|| Series::new("s", Better::Lower));
            series.push(*seconds);
        }
    }
    let parts: Vec<String> = series
        .iter()
        .map(|(who, series)| format!("{} {:.1} s", whose(who), series.median()))
        .collect();
    format!(
        "{title}, Postgres' CPU for a million events by session: {}.",
        parts.join(", ")
    )
}

fn whose(login: &str) -> &str {
    match login {
        "test_relay" => "relay",
        "test_consumer" => "consumer",
        "test_producer" => "producers",
        "postgres" => "the measure itself",
        other => other,
    }
}
