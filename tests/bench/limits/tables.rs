//! Pure: the tables of the page.

use std::collections::BTreeMap;

use super::ends::{End, needed};
use super::layout::Layout;
use super::quantity::Quantity;
use super::simulation::Pattern;
use super::study::{Fewest, Scenario, Study};
use crate::report::number;

/// Events a second for which it is said how many of each are needed.
const RATES: [f64; 4] = [1e3, 1e4, 1e5, 1e6];

fn table(columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    let under: Vec<String> = columns.iter().map(|_| "---".to_owned()).collect();
    rows.into_iter()
        .fold(line(&head) + &line(&under), |text, row| text + &line(&row))
}

/// With commas: 1,234,567.
pub(super) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    groups.join(",")
}

/// Three digits that count.
fn rounded(value: f64) -> String {
    let step = 10_f64.powf((value.abs().max(1.0).log10().floor() - 2.0).max(0.0));
    grouped((value / step).round() * step)
}

pub(super) fn quantities(all: &[&Quantity]) -> String {
    let row = |quantity: &&Quantity| {
        let value = match quantity.value {
            value if value >= 1_000.0 => rounded(value),
            value => number(value),
        };
        vec![
            quantity.what.to_owned(),
            format!("{value} {}", quantity.unit),
            quantity.source.told(),
        ]
    };
    table(&["what", "value", "where it is from"], all.iter().map(row))
}

pub(super) fn machines(machines: &BTreeMap<&str, Option<String>>) -> String {
    let row = |(file, machine): (&&str, &Option<String>)| match machine {
        Some(machine) => vec![format!("[{file}]({file}.md)"), machine.clone()],
        None => vec![
            format!("{file}"),
            format!("absent: `cargo xtask bench {file}` makes it"),
        ],
    };
    table(
        &["page", "measured: date; commit; cores; memory"],
        machines.iter().map(row),
    )
}

pub(super) fn ends(ends: &[End]) -> String {
    let row = |end: &End| {
        vec![
            end.of.to_owned(),
            format!("{}/s", rounded(end.at)),
            end.how.clone(),
            end.more.to_owned(),
        ]
    };
    table(
        &["of", "ends at, events", "computed", "more of it"],
        ends.iter().map(row),
    )
}

/// How many of each are needed, and what is too little first.
pub(super) fn rates(ends: &[End]) -> String {
    let columns = RATES.map(|rate| format!("at {}/s", grouped(rate)));
    let columns: Vec<&str> = std::iter::once("how many of")
        .chain(columns.iter().map(String::as_str))
        .collect();
    let of_rates = RATES.map(|rate| needed(ends, rate));
    let on_the_way = ends.iter().enumerate().filter(|(_, end)| end.is_on_the_way);
    let mut rows: Vec<Vec<String>> = on_the_way
        .map(|(place, end)| {
            let counts = of_rates.iter().map(|(counts, _)| grouped(counts[place]));
            std::iter::once(end.of.to_owned()).chain(counts).collect()
        })
        .collect();
    let first = of_rates
        .iter()
        .map(|(_, first)| first.map_or_else(|| "nothing".to_owned(), |end| format!("**{}**", end.of)));
    rows.push(
        std::iter::once("what ends first, one of each".to_owned())
            .chain(first)
            .collect(),
    );
    table(&columns, rows)
}

pub(super) fn layout(layout: &Layout) -> String {
    format!(
        "{} databases with a relay each, {} Redis, {} streams with a consumer each ({} of each database)",
        layout.databases,
        layout.nodes,
        layout.databases * layout.streams,
        layout.streams
    )
}

pub(super) fn scenarios(study: &Study, event_bytes: f64) -> String {
    let seconds = |value: f64| format!("{} ms", number(value * 1e3));
    let row = |scenario: &Scenario| {
        let outcome = &scenario.outcome;
        let of = |delays: &super::simulation::Delays| {
            [delays.at(0.5), delays.at(0.99), delays.most()]
                .map(seconds)
                .join(", ")
        };
        let waits = outcome.most_unpublished() as f64;
        let recovered = scenario.stall.map(|stall| {
            let after = outcome.recovered_after(&stall);
            after.map_or_else(
                || "not within the run".to_owned(),
                |after| format!("{after:.1} s"),
            )
        });
        vec![
            scenario.title.clone(),
            of(&outcome.published),
            of(&outcome.applied),
            if scenario.stall.is_some() {
                of(&outcome.applied_hit)
            } else {
                String::new()
            },
            format!("{} ({} MB)", rounded(waits), rounded(waits * event_bytes / 1e6)),
            recovered.unwrap_or_default(),
        ]
    };
    let columns = [
        "what comes, what happens",
        "on its stream: p50, p99, most",
        "effect committed: p50, p99, most",
        "the same, of the databases that it meets",
        "most that was committed and on no stream, events",
        "as before, after its end",
    ];
    table(&columns, study.scenarios.iter().map(row))
}

pub(super) fn fewest(found: &[Fewest]) -> String {
    let row = |fewest: &Fewest| {
        let pattern = match fewest.pattern {
            Pattern::Poisson => "Poisson",
            Pattern::Bursty { .. } => "in bursts",
        };
        let counts = match &fewest.layout {
            Some(found) => [
                found.databases,
                found.nodes,
                found.streams,
                found.databases * found.streams,
            ]
            .map(|count| count.to_string()),
            None => std::array::from_fn(|_| "no number".to_owned()),
        };
        [
            vec![pattern.to_owned(), format!("{:.0} ms", fewest.bound * 1e3)],
            counts.to_vec(),
        ]
        .concat()
    };
    let columns = [
        "what comes",
        "p99 to the effect within",
        "databases and relays",
        "Redis",
        "streams of each database",
        "consumers",
    ];
    table(&columns, found.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::{grouped, rounded};

    #[test]
    fn numbers_are_told_as_people_write_them() {
        for (value, told) in [(7.0, "7"), (1_234_567.0, "1,234,567"), (999.6, "1,000")] {
            assert_eq!(grouped(value), told);
        }
        for (value, told) in [(123_456.0, "123,000"), (99.4, "99"), (0.0, "0")] {
            assert_eq!(rounded(value), told);
        }
    }
}
