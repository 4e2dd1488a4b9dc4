//! Pure: what came of many runs, as a page and as a plot.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::campaign::faults;
use super::run::Outcome;

const ROW: usize = 18;
const LABEL: usize = 210;
const WIDTH: usize = 860;

/// One kind of fault over all runs.
struct Line {
    kind: String,
    done: usize,
    /// Sorted.
    recovered_ms: Vec<u64>,
}

impl Line {
    fn median(&self) -> Option<u64> {
        self.recovered_ms.get(self.recovered_ms.len() / 2).copied()
    }

    fn slowest(&self) -> Option<u64> {
        self.recovered_ms.last().copied()
    }
}

fn lines(outcomes: &[Outcome]) -> Vec<Line> {
    let mut kinds: BTreeMap<String, Line> = BTreeMap::new();
    for done in outcomes
        .iter()
        .flat_map(|outcome| &outcome.done)
        .filter(|done| done.has_met)
    {
        let kind = done.kind.to_string();
        let line = kinds.entry(kind.clone()).or_insert(Line {
            kind,
            done: 0,
            recovered_ms: Vec::new(),
        });
        line.done += 1;
        line.recovered_ms.extend(done.recovered_ms);
    }
    let mut lines: Vec<Line> = kinds.into_values().collect();
    lines
        .iter_mut()
        .for_each(|line| line.recovered_ms.sort_unstable());
    lines
}

/// The page; `plot` is where it is, from the page.
///
/// # Errors
/// Never: it is written to memory.
pub fn page(outcomes: &[Outcome], plot: &str) -> Result<String, fmt::Error> {
    let sum = |of: fn(&Outcome) -> usize| -> usize { outcomes.iter().map(of).sum() };
    let failed: Vec<u64> = outcomes
        .iter()
        .filter(|outcome| outcome.failed.is_some())
        .map(|outcome| outcome.seed)
        .collect();
    let mut page = String::new();
    writeln!(
        page,
        "# Chaos, counted\n\nMade by `cargo xtask chaos --faults N` ([how it works](testing.md#chaos)).\n"
    )?;
    writeln!(
        page,
        "{} runs, **{} faults that met something**, {} events committed, {} more whose commit was not answered.\n",
        outcomes.len(),
        faults(outcomes),
        sum(|outcome| outcome.committed),
        sum(|outcome| outcome.unknown)
    )?;
    writeln!(page, "| Found | |\n|---|---:|")?;
    for (what, count) in [
        ("lost", sum(|outcome| outcome.lost)),
        ("phantom", sum(|outcome| outcome.phantom)),
        ("doubled effects", sum(|outcome| outcome.doubled)),
        ("reordered within a key", sum(|outcome| outcome.reordered)),
        (
            "twice on a stream while Redis kept its data",
            sum(|outcome| outcome.doubled_on_stream),
        ),
        ("runs that failed", failed.len()),
    ] {
        writeln!(page, "| {what} | {count} |")?;
    }
    writeln!(
        page,
        "\n{} effects, {} events given up as they must be, {} waiting behind those, {} processes started.",
        sum(|outcome| outcome.applied),
        sum(|outcome| outcome.dead),
        sum(|outcome| outcome.parked),
        sum(|outcome| outcome.started)
    )?;
    if !failed.is_empty() {
        writeln!(page, "\nSeeds that failed: {failed:?}")?;
    }
    writeln!(page, "\n## Recovery by kind of fault\n")?;
    writeln!(
        page,
        "From the end of the fault to the first effect of an event committed after it, at a consumer. Faults overlap, so a time may\n\
         be another one's.\n\n![Recovery by kind]({plot})\n\n| Kind | Faults | Median ms | Slowest ms |\n|---|---:|---:|---:|"
    )?;
    for line in lines(outcomes) {
        let told = |ms: Option<u64>| ms.map_or("–".to_owned(), |ms| ms.to_string());
        writeln!(
            page,
            "| {} | {} | {} | {} |",
            line.kind,
            line.done,
            told(line.median()),
            told(line.slowest())
        )?;
    }
    Ok(page)
}

/// The plot: of each kind the median and the slowest recovery.
///
/// # Errors
/// Never: it is written to memory.
pub fn plot(outcomes: &[Outcome]) -> Result<String, fmt::Error> {
    let lines = lines(outcomes);
    let most = lines.iter().filter_map(Line::slowest).max().unwrap_or(1).max(1);
    let scale = |ms: u64| LABEL as f64 + ms as f64 / most as f64 * (WIDTH - LABEL - 80) as f64;
    let height = (lines.len() + 2) * ROW;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (number, line) in lines.iter().enumerate() {
        let y = (number + 1) * ROW;
        let (median, slowest) = (line.median().unwrap_or(0), line.slowest().unwrap_or(0));
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LABEL - 8,
            y + 4,
            line.kind
        )?;
        writeln!(
            svg,
            "<line x1=\"{LABEL}\" y1=\"{y}\" x2=\"{:.0}\" y2=\"{y}\" stroke=\"#b0b8c4\" stroke-width=\"6\"/>",
            scale(slowest)
        )?;
        writeln!(
            svg,
            "<line x1=\"{LABEL}\" y1=\"{y}\" x2=\"{:.0}\" y2=\"{y}\" stroke=\"#2f6f9f\" stroke-width=\"6\"/>",
            scale(median)
        )?;
        writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{}\">{slowest} ms</text>",
            scale(slowest) + 6.0,
            y + 4
        )?;
    }
    writeln!(
        svg,
        "<text x=\"{LABEL}\" y=\"{}\">blue: median; grey: slowest</text>\n</svg>",
        height - 6
    )?;
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::{page, plot};
    use crate::chaos::fault::{Kind, Link};
    use crate::chaos::run::{Done, Outcome};

    #[test]
    fn the_page_counts_what_met_something_and_names_what_failed() -> Result<(), std::fmt::Error> {
        let done = |kind, has_met, recovered_ms| Done {
            kind,
            lasted_ms: 1,
            has_met,
            recovered_ms,
        };
        let good = Outcome {
            seed: 1,
            committed: 10,
            done: vec![
                done(Kind::RedisKill, true, Some(40)),
                done(Kind::RedisKill, true, Some(10)),
                done(Kind::Cut(Link::RelayRedis), false, None),
            ],
            ..Outcome::default()
        };
        let bad = Outcome {
            seed: 77,
            lost: 3,
            failed: Some("lost".to_owned()),
            ..Outcome::default()
        };
        let outcomes = [good, bad];
        let page = page(&outcomes, "plot.svg")?;
        assert!(page.contains("2 runs, **2 faults"), "{page}");
        assert!(page.contains("| lost | 3 |") && page.contains("[77]"), "{page}");
        assert!(page.contains("| redis-kill | 2 | 40 | 40 |"), "{page}");
        assert!(plot(&outcomes)?.contains("redis-kill"));
        Ok(())
    }
}
