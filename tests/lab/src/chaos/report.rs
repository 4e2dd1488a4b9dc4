//! Pure: what came of a campaign, as the numbers of a page and as two plots.
//!
//! The page is written by hand, but for what stands between two marks: that is made anew from the file of the campaign.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::outcome::Outcome;
use super::record::{Record, faults};

mod plot;
pub use plot::{faults_by_kind, recovery_by_kind};

const FROM: &str = "<!-- from here on made by: cargo xtask chaos --report -->";
const TO: &str = "<!-- until here -->";

/// What is counted of a run.
type Count = fn(&Outcome) -> usize;

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

fn lines(records: &[Record]) -> Vec<Line> {
    let mut kinds: BTreeMap<String, Line> = BTreeMap::new();
    let done = records.iter().flat_map(|record| &record.outcome.done);
    for done in done.filter(|done| done.has_met) {
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

/// The page with these numbers in the place of those between the marks.
///
/// # Errors
/// When the page has no marks.
pub fn renew(page: &str, records: &[Record]) -> Result<String, fmt::Error> {
    let (before, rest) = page.split_once(FROM).ok_or(fmt::Error)?;
    let (_, after) = rest.split_once(TO).ok_or(fmt::Error)?;
    Ok(format!("{before}{FROM}\n\n{}\n{TO}{after}", numbers(records)?))
}

fn numbers(records: &[Record]) -> Result<String, fmt::Error> {
    let mut page = String::new();
    let of = |losses: bool| records.iter().filter(move |record| record.losses == losses);
    let sum =
        |losses: bool, of_one: Count| -> usize { of(losses).map(|record| of_one(&record.outcome)).sum() };
    writeln!(
        page,
        "**{} faults that met something**, in {} runs with seeds {}.\n",
        faults(records),
        records.len(),
        seeds(records)
    )?;
    writeln!(
        page,
        "| | Redis kept its data | Redis lost data too |\n|---|---:|---:|"
    )?;
    let rows: [(&str, Count); 17] = [
        ("faults", Outcome::met),
        ("the lead changed hands", |outcome| {
            usize::try_from(outcome.takeovers).unwrap_or(usize::MAX)
        }),
        ("processes started", |outcome| outcome.started),
        ("events committed", |outcome| outcome.committed),
        ("events whose commit was not answered", |outcome| outcome.unknown),
        ("effects", |outcome| outcome.applied),
        ("given up, as they must be", |outcome| outcome.dead),
        ("waiting behind those", |outcome| outcome.parked),
        ("twice on a stream that lost data", |outcome| {
            outcome.put_out_again
        }),
        ("**lost**", |outcome| outcome.lost),
        ("**phantom**", |outcome| outcome.phantom),
        ("**doubled effects**", |outcome| outcome.doubled),
        ("**reordered within a key**", |outcome| outcome.reordered),
        ("**twice on a stream** that Redis kept", |outcome| {
            outcome.doubled_on_stream
        }),
        ("longest until all had arrived, in ms", |_| 0),
        ("runs in which a fault met nothing", |outcome| {
            usize::from(outcome.unmet().is_some())
        }),
        ("**runs that failed otherwise**", |outcome| {
            usize::from(outcome.has_findings())
        }),
    ];
    for (what, of_one) in rows {
        if what.starts_with("longest") {
            let longest = |losses| {
                of(losses)
                    .map(|record| record.outcome.quiet_ms)
                    .max()
                    .unwrap_or(0)
            };
            writeln!(page, "| {what} | {} | {} |", longest(false), longest(true))?;
        } else {
            writeln!(
                page,
                "| {what} | {} | {} |",
                sum(false, of_one),
                sum(true, of_one)
            )?;
        }
    }
    about_the_machine(&mut page, records)?;
    failures(&mut page, records)?;
    by_kind(&mut page, records)?;
    Ok(page)
}

fn seeds(records: &[Record]) -> String {
    let seeds = || records.iter().map(|record| record.outcome.seed);
    match (seeds().min(), seeds().max()) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "none".to_owned(),
    }
}

fn about_the_machine(page: &mut String, records: &[Record]) -> fmt::Result {
    let shared = faults(records.iter().filter(|record| record.shared));
    let mut commits: BTreeMap<&str, usize> = BTreeMap::new();
    for record in records {
        *commits.entry(&record.commit).or_default() += record.outcome.met();
    }
    let commits: Vec<String> = commits
        .iter()
        .map(|(commit, faults)| format!("{commit} ({faults} faults)"))
        .collect();
    writeln!(
        page,
        "\nOf these faults {shared} were done while the machine had other work: their times are those of a busy machine. Sources: {}.",
        commits.join(", ")
    )
}

fn failures(page: &mut String, records: &[Record]) -> fmt::Result {
    for record in records {
        if let Some(failed) = &record.outcome.failed {
            // A run that only lacks a fault has its row above.
            if !record.outcome.has_findings() {
                continue;
            }
            let first: String = failed
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(200)
                .collect();
            let fewest = record.fewest.map_or(String::new(), |fewest| {
                format!(" It still failed with {fewest} faults.")
            });
            writeln!(
                page,
                "\n* Seed {} failed at {}: {first}{fewest}",
                record.outcome.seed, record.commit
            )?;
        }
    }
    Ok(())
}

fn by_kind(page: &mut String, records: &[Record]) -> fmt::Result {
    writeln!(
        page,
        "\n## By kind\n\n![Faults by kind](chaos-faults.svg)\n\nRecovery: from the end of the fault to the effect, at a consumer, \
         of the first event committed after it. Four faults a second overlap, so a time is that of everything that was done to it.\n\n\
         ![Recovery by kind](chaos-recovery.svg)\n\n| Kind | Faults | Median ms | Slowest ms |\n|---|---:|---:|---:|"
    )?;
    for line in lines(records) {
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{FROM, TO, faults_by_kind, recovery_by_kind, renew};
    use crate::chaos::fault::{Kind, Link};
    use crate::chaos::outcome::{Done, Outcome};
    use crate::chaos::record::Record;

    #[test]
    fn the_page_counts_what_met_something_and_names_what_failed() -> Result<(), std::fmt::Error> {
        let done = |kind, has_met, recovered_ms| Done {
            kind,
            lasted_ms: 1,
            has_met,
            recovered_ms,
        };
        let good = Record {
            shared: true,
            commit: "abc".to_owned(),
            outcome: Outcome {
                seed: 1,
                committed: 10,
                done: vec![
                    done(Kind::RedisKill, true, Some(40)),
                    done(Kind::RedisKill, true, Some(10)),
                    done(Kind::Cut(Link::RelayRedis), false, None),
                ],
                ..Outcome::default()
            },
            ..Record::default()
        };
        let bad = Record {
            losses: true,
            outcome: Outcome {
                seed: 77,
                lost: 3,
                failed: Some("lost\nand more".to_owned()),
                ..Outcome::default()
            },
            ..Record::default()
        };
        let records = [good, bad];
        let page = renew(&format!("above\n{FROM} old {TO}\nbelow"), &records)?;
        assert!(page.starts_with("above") && page.ends_with("below") && !page.contains(" old "));
        assert!(
            page.contains("**2 faults that met something**, in 2 runs"),
            "{page}"
        );
        assert!(page.contains("| **lost** | 0 | 3 |"), "{page}");
        assert!(
            page.contains("| runs in which a fault met nothing | 1 | 0 |"),
            "{page}"
        );
        assert!(
            page.contains("| **runs that failed otherwise** | 0 | 1 |"),
            "{page}"
        );
        assert!(page.contains("Seed 77 failed"), "{page}");
        assert!(page.contains("Of these faults 2 were done while"), "{page}");
        assert!(page.contains("| redis-kill | 2 | 40 | 40 |"), "{page}");
        assert!(renew("no marks", &records).is_err());
        assert!(recovery_by_kind(&records)?.contains("40 ms"));
        assert!(faults_by_kind(&records)?.contains("redis-kill"));
        Ok(())
    }
}
