//! Pure: whether what was sampled is flat, as a verdict, a table and pictures.
//!
//! Five times are compared: behind before a snapshot was held; behind with it, the first and the second half; and without a
//! backlog, the first and the second half. What is of the backlog is compared with what is of the backlog, and nothing else.

use std::fmt::Write as _;

use super::picture::picture;
use super::sample::{HOT, LEASE, Phase, Sample};
use super::writers::Written;
use super::{Bounded, LARGE_BYTES};
use crate::{Failure, Result};

/// How much more a later time may have than an earlier one: a part, and something on top. What comes on top of memory, of
/// statements and of connections is the run's to say ([`Slack`](super::Slack)).
const MEMORY: f64 = 1.3;
const STATEMENTS: f64 = 1.0;
const CONNECTIONS: f64 = 1.0;
/// A cut asks the indexes of each piece of the log, in two arms and twice over, three or four pages each: pieces that were laid
/// between two times are no growth.
const PAGES_OF_A_PIECE: f64 = 16.0;
/// A row that is returned is a page of the log and, on the way to it, of an index; a large one has pages of its own besides. Batches are
/// as large as producers and relay happen to be fast: more rows are no growth.
const PAGES_OF_A_ROW: f64 = 4.0;
/// What is more for a while only may be so many times what would be growth if it stayed.
const FOR_A_WHILE: f64 = 2.0;
/// Calls in a time from which on their mean says something.
const ENOUGH_CALLS: f64 = 10.0;
/// Samples of a time from which on it says something.
pub(super) const ENOUGH_SAMPLES: usize = 4;

/// What was seen.
#[derive(Clone, Debug)]
pub struct Report {
    of: Bounded,
    written: Written,
    samples: Vec<Sample>,
}

/// One line of the table: the mean in each of the five times, where there is one.
#[derive(Clone, Debug)]
struct Line {
    name: String,
    unit: &'static str,
    means: [Option<f64>; 5],
    most: f64,
    bound: (f64, f64),
    /// How many pieces of the log there were at the beginning and at the end of each, where these make a difference.
    pieces: [(i64, i64); 5],
    /// Rows that a call returned, in the mean of each.
    rows: [f64; 5],
    values: Vec<(f64, f64)>,
}

impl Line {
    /// While behind: the last time has no more than the earlier ones. After it: the same. What is more for a while, and is gone while the backlog
    /// and the snapshot are there still, comes from neither: shares differ in how many rows they have. It has a bound of its own.
    fn is_flat(&self) -> bool {
        let grows = |earlier: usize, later: usize, times: f64| match (self.means[earlier], self.means[later])
        {
            (Some(was), Some(is)) => {
                let laid = (self.pieces[later].1 - self.pieces[earlier].0).max(0) as f64;
                let more = (self.rows[later] - self.rows[earlier]).max(0.0);
                is > times
                    * (was * self.bound.0 + self.bound.1 + laid * PAGES_OF_A_PIECE + more * PAGES_OF_A_ROW)
            }
            _ => false,
        };
        // Before, first, second; calm, calmer.
        ![(0, 1, FOR_A_WHILE), (0, 2, 1.0), (1, 2, 1.0), (3, 4, 1.0)]
            .into_iter()
            .any(|(earlier, later, times)| grows(earlier, later, times))
    }
}

impl Report {
    pub(super) fn new(of: Bounded, written: Written, samples: Vec<Sample>) -> Self {
        Self { of, written, samples }
    }

    /// # Errors
    /// Names what is not flat, or what was not seen.
    pub fn verdict(&self) -> Result {
        let times = self.times();
        if let Some(short) = times.iter().position(|time| time.len() < ENOUGH_SAMPLES) {
            return Err(Failure::new(format!(
                "{} samples of time {} of five: the backlog was gone before, and nothing was shown",
                times[short].len(),
                short + 1
            )));
        }
        let lines = self.lines();
        for (_, hot) in HOT {
            let is_seen = lines
                .iter()
                .any(|line| line.name.ends_with(hot) && line.means[..3].iter().all(Option::is_some));
            if !is_seen {
                return Err(Failure::new(format!(
                    "the statement to {hot} was not run {ENOUGH_CALLS} times in each of the times with a backlog: nothing was shown"
                )));
            }
        }
        match lines.iter().find(|line| !line.is_flat()) {
            None => Ok(()),
            Some(line) => Err(Failure::new(format!(
                "{} is not flat: {:.1?} {} in the five times, for {:.1?} rows, in {:?} pieces",
                line.name, line.means, line.unit, line.rows, line.pieces
            ))),
        }
    }

    /// The table, and a picture for each line of it under a file name.
    #[must_use]
    pub fn page(&self) -> (String, Vec<(String, String)>) {
        let end = |phase: Phase| {
            let last = self.samples.iter().rev().find(|sample| sample.phase <= phase);
            last.map_or(0.0, |sample| sample.at)
        };
        let (pinned, gone, all) = (end(Phase::Before), end(Phase::Pinned), end(Phase::Steady));
        let mut text = format!(
            "{} rows behind over {} keys, {} events of {} MiB among them; {} events published in {:.0} s. Producers committed {} \
             events, {:.0} a second. Every stream was behind for {gone:.0} s; the snapshot was held for {:.0} s, {:.0} of them with every \
             stream behind.\n\n\
             | what | behind, before the snapshot | behind, snapshot held, first half | second half | backlog gone, snapshot held, first half \
             | second half | most | flat |\n|---|---|---|---|---|---|---|---|\n",
            self.of.rows,
            self.of.keys,
            self.of.large,
            LARGE_BYTES >> 20,
            self.samples.last().map_or(0, |sample| sample.published),
            all,
            self.written.events,
            self.written.events as f64 / self.written.seconds.max(0.001),
            all - pinned,
            gone - pinned,
        );
        let marks = [(pinned, "snapshot held from here on"), (gone, "backlog gone")];
        let mut pictures = Vec::new();
        for line in self.lines() {
            // Writing to a String does not fail.
            let _ = write!(text, "| {} ({}) |", line.name, line.unit);
            for (mean, rows) in line.means.into_iter().zip(line.rows) {
                let _ = match mean {
                    Some(mean) if rows > 0.0 => write!(text, " {mean:.1} for {rows:.1} rows |"),
                    Some(mean) => write!(text, " {mean:.1} |"),
                    None => write!(text, " |"),
                };
            }
            let _ = writeln!(
                text,
                " {:.1} | {} |",
                line.most,
                if line.is_flat() { "yes" } else { "no" }
            );
            pictures.push((
                format!("bounded-{}.svg", line.name.replace(' ', "-")),
                picture(&format!("{}, {}", line.name, line.unit), &line.values, &marks),
            ));
        }
        (text, pictures)
    }

    /// The five times.
    fn times(&self) -> [&[Sample]; 5] {
        let of = |phase: Phase| {
            let begin = self.samples.partition_point(|sample| sample.phase < phase);
            let end = self.samples.partition_point(|sample| sample.phase <= phase);
            &self.samples[begin..end]
        };
        let (pinned, steady) = (of(Phase::Pinned), of(Phase::Steady));
        let ((first, second), (calm, calmer)) = (
            pinned.split_at(pinned.len() / 2),
            steady.split_at(steady.len() / 2),
        );
        [of(Phase::Before), first, second, calm, calmer]
    }

    fn lines(&self) -> Vec<Line> {
        let mib = f64::from(1 << 20);
        let memory = (MEMORY, self.of.slack.memory as f64);
        let statements = (STATEMENTS, self.of.slack.statements as f64);
        let connections = (CONNECTIONS, self.of.slack.connections as f64);
        let mut lines = vec![
            self.line("memory of the relay", "MiB", memory, mib, |sample| {
                sample.relay_memory as f64
            }),
            self.line(
                "memory of the consumer that hangs",
                "MiB",
                memory,
                mib,
                |sample| sample.consumer_memory as f64,
            ),
            self.line("connections to Postgres", "count", connections, 1.0, |sample| {
                sample.connections as f64
            }),
            self.line(
                "pieces of the log",
                "count",
                (f64::INFINITY, 0.0),
                1.0,
                |sample| sample.pieces as f64,
            ),
            self.line("statements at work", "count", statements, 1.0, |sample| {
                sample.statements as f64
            }),
        ];
        lines.extend(HOT.iter().chain([&LEASE]).map(|(_, name)| self.pages(name)));
        lines
    }

    fn line(
        &self,
        name: &str,
        unit: &'static str,
        bound: (f64, f64),
        scale: f64,
        value: impl Fn(&Sample) -> f64,
    ) -> Line {
        let mean = |samples: &[Sample]| {
            let sum: f64 = samples.iter().map(&value).sum();
            (!samples.is_empty()).then(|| sum / samples.len() as f64 / scale)
        };
        let values: Vec<(f64, f64)> = self
            .samples
            .iter()
            .map(|sample| (sample.at, value(sample) / scale))
            .collect();
        Line {
            name: name.to_owned(),
            unit,
            means: self.times().map(mean),
            most: values.iter().map(|(_, value)| *value).fold(0.0, f64::max),
            bound: (bound.0, bound.1 / scale),
            pieces: [(0, 0); 5],
            rows: [0.0; 5],
            values,
        }
    }

    /// Pages per call of a statement; none where it was not run often enough.
    fn pages(&self, name: &'static str) -> Line {
        let between = |from: &Sample, to: &Sample, enough: f64| {
            let ((calls, pages, rows), (more_calls, more_pages, more_rows)) =
                (from.read[name], to.read[name]);
            let by = more_calls - calls;
            (by >= enough).then(|| ((more_pages - pages) / by, (more_rows - rows) / by))
        };
        let values: Vec<(f64, f64)> = self
            .samples
            .windows(2)
            .filter_map(|pair| between(&pair[0], &pair[1], 1.0).map(|(pages, _)| (pair[1].at, pages)))
            .collect();
        let means = self
            .times()
            .map(|time| between(time.first()?, time.last()?, ENOUGH_CALLS));
        Line {
            name: format!("pages a call reads to {name}"),
            unit: "pages",
            means: means.map(|mean| mean.map(|(pages, _)| pages)),
            rows: means.map(|mean| mean.map_or(0.0, |(_, rows)| rows)),
            most: values.iter().map(|(_, value)| *value).fold(0.0, f64::max),
            bound: pages_slack(name),
            pieces: self.times().map(|time| {
                let of = |sample: Option<&Sample>| sample.map_or(0, |sample| sample.pieces);
                (of(time.first()), of(time.last()))
            }),
            values,
        }
    }
}

/// A cut and a read of a share are as large as the batches happen to be. The lease is changed in place, and a snapshot that is held
/// keeps what it was: that grows with time, and is bounded by it.
fn pages_slack(name: &str) -> (f64, f64) {
    match name {
        "record progress" => (1.3, 5.0),
        "renew the lease" => (1.5, 40.0),
        _ => (1.3, 40.0),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::{HOT, LEASE, Report, Written};
    use crate::bounded::{Bounded, Phase, Sample, Slack};

    /// Ten samples of each phase, with this much memory and so many pages a call.
    fn report(memory: impl Fn(usize) -> u64, pages: impl Fn(usize) -> f64, phases: &[Phase]) -> Report {
        let mut samples = Vec::new();
        let (mut calls, mut read) = (0.0, 0.0);
        for n in 0..10 * phases.len() {
            calls += 5.0;
            read += 5.0 * pages(n);
            let names = HOT.iter().chain([&LEASE]).map(|(_, name)| *name);
            samples.push(Sample {
                at: n as f64,
                phase: phases[n / 10],
                published: n as u64,
                relay_memory: memory(n) << 20,
                consumer_memory: 30 << 20,
                connections: 12,
                statements: 4,
                pieces: 20,
                read: names
                    .map(|name| (name, (calls, read, 10.0 * calls)))
                    .collect::<BTreeMap<_, _>>(),
            });
        }
        let of = Bounded {
            rows: 100,
            keys: 10,
            large: 1,
            every: Duration::from_secs(1),
            pinned: Duration::ZERO,
            steady: Duration::ZERO,
            at_most: Duration::ZERO,
            slack: Slack::NARROW,
        };
        let written = Written {
            events: 100,
            seconds: 10.0,
        };
        Report::new(of, written, samples)
    }

    const WHOLE: [Phase; 5] = [
        Phase::Warming,
        Phase::Before,
        Phase::Pinned,
        Phase::Between,
        Phase::Steady,
    ];

    fn refusal(report: &Report) -> String {
        report
            .verdict()
            .err()
            .map_or_else(String::new, |failure| failure.to_string())
    }

    #[test]
    fn what_grows_while_behind_is_named_whatever_it_is_afterwards() {
        assert_eq!(refusal(&report(|_| 200, |_| 100.0, &WHOLE)), "");
        let memory = |n: usize| if n < 30 { 100 + 10 * n as u64 } else { 100 };
        assert!(refusal(&report(memory, |_| 100.0, &WHOLE)).starts_with("memory of the relay is not flat"));
        let pages = |n: usize| if (20..30).contains(&n) { 400.0 } else { 100.0 };
        assert!(refusal(&report(|_| 200, pages, &WHOLE)).contains("to cut a batch is not flat"));
    }

    #[test]
    fn what_is_more_for_a_while_is_named_where_it_is_much_more() {
        let for_a_while = |much: u64| move |n: usize| if (20..25).contains(&n) { much } else { 200 };
        assert_eq!(refusal(&report(for_a_while(300), |_| 100.0, &WHOLE)), "");
        assert!(
            refusal(&report(for_a_while(900), |_| 100.0, &WHOLE))
                .starts_with("memory of the relay is not flat")
        );
    }

    #[test]
    fn what_grows_without_a_backlog_is_named_too() {
        let pages = |n: usize| if n > 44 { 400.0 } else { 100.0 };
        assert!(refusal(&report(|_| 200, pages, &WHOLE)).contains("is not flat"));
    }

    #[test]
    fn a_backlog_that_is_gone_too_soon_shows_nothing() {
        let soon = [Phase::Warming, Phase::Before, Phase::Steady];
        assert!(refusal(&report(|_| 200, |_| 100.0, &soon)).contains("nothing was shown"));
        let mut rare = report(|_| 200, |_| 100.0, &WHOLE);
        for sample in &mut rare.samples {
            sample.read.insert("read a share", (3.0, 30.0, 30.0));
        }
        assert!(refusal(&rare).contains("to read a share was not run"));
    }

    #[test]
    fn the_table_has_a_line_for_each_and_a_picture_beside_it() {
        let (text, pictures) = report(|_| 200, |_| 100.0, &WHOLE).page();
        assert_eq!(pictures.len(), 9);
        assert!(
            text.contains(
                "| memory of the relay (MiB) | 200.0 | 200.0 | 200.0 | 200.0 | 200.0 | 200.0 | yes |"
            ),
            "{text}"
        );
    }
}
