//! Pure: whether what was sampled is flat, as a verdict, a table and pictures.
//!
//! The first third is left out: memory comes, plans are made, caches fill. The second is compared with the last.

use std::fmt::Write as _;

use super::Bounded;
use super::sample::{HOT, Sample};
use crate::{Failure, Result};

/// How much more the last third may have than the second: a part, and something on top.
const MEMORY: (f64, f64) = (1.3, (24 << 20) as f64);
const CONNECTIONS: (f64, f64) = (1.0, 2.0);
const PAGES: (f64, f64) = (1.5, 40.0);
/// Calls in a third from which on their mean says something.
const ENOUGH_CALLS: f64 = 10.0;
/// A picture.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 160.0;

/// What was seen.
#[derive(Clone, Debug)]
pub struct Report {
    of: Bounded,
    samples: Vec<Sample>,
}

/// One line of the table.
#[derive(Clone, Debug)]
struct Line {
    name: String,
    unit: &'static str,
    second: f64,
    last: f64,
    most: f64,
    flat: bool,
    values: Vec<(f64, f64)>,
}

impl Report {
    pub(super) fn new(of: Bounded, samples: Vec<Sample>) -> Self {
        Self { of, samples }
    }

    /// # Errors
    /// Names what is not flat.
    pub fn verdict(&self) -> Result {
        if self.samples.len() < 9 {
            return Err(Failure::new(format!(
                "{} samples say nothing",
                self.samples.len()
            )));
        }
        let lines = self.lines();
        if lines.iter().filter(|line| line.unit == "pages").count() < 2 {
            return Err(Failure::new(
                "too few statements were run often enough: nothing was shown",
            ));
        }
        match lines.iter().find(|line| !line.flat) {
            None => Ok(()),
            Some(line) => Err(Failure::new(format!(
                "{} is not flat: {:.1} {} in the second third, {:.1} in the last",
                line.name, line.second, line.unit, line.last
            ))),
        }
    }

    /// The table, and a picture for each line of it under a file name.
    #[must_use]
    pub fn page(&self) -> (String, Vec<(String, String)>) {
        let last = self.samples.last();
        let mut text = format!(
            "{} rows behind over {} keys, {} events of 15 MiB among them; {} events published in {:.0} s.\n\n\
             | what | second third | last third | most | flat |\n|---|---|---|---|---|\n",
            self.of.rows,
            self.of.keys,
            self.of.large,
            last.map_or(0, |sample| sample.published),
            last.map_or(0.0, |sample| sample.at),
        );
        let mut pictures = Vec::new();
        for line in self.lines() {
            let Line {
                name,
                unit,
                second,
                last,
                most,
                flat,
                values,
            } = line;
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "| {name} ({unit}) | {second:.1} | {last:.1} | {most:.1} | {} |",
                if flat { "yes" } else { "no" }
            );
            pictures.push((
                format!("bounded-{}.svg", name.replace(' ', "-")),
                picture(&format!("{name}, {unit}"), &values),
            ));
        }
        (text, pictures)
    }

    fn lines(&self) -> Vec<Line> {
        let mib = f64::from(1 << 20);
        let mut lines = vec![
            self.line("memory of the relay", "MiB", MEMORY, mib, |sample| {
                sample.relay_memory as f64
            }),
            self.line(
                "memory of the consumer that hangs",
                "MiB",
                MEMORY,
                mib,
                |sample| sample.consumer_memory as f64,
            ),
            self.line("connections to Postgres", "count", CONNECTIONS, 1.0, |sample| {
                sample.connections as f64
            }),
            self.line("statements at work", "count", CONNECTIONS, 1.0, |sample| {
                sample.statements as f64
            }),
        ];
        lines.extend(HOT.iter().filter_map(|(_, name)| self.pages(name)));
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
        let third = self.samples.len() / 3;
        let mean = |samples: &[Sample]| samples.iter().map(&value).sum::<f64>() / samples.len().max(1) as f64;
        let (second, last) = (
            mean(&self.samples[third..2 * third]),
            mean(&self.samples[2 * third..]),
        );
        let values: Vec<(f64, f64)> = self
            .samples
            .iter()
            .map(|sample| (sample.at, value(sample) / scale))
            .collect();
        Line {
            name: name.to_owned(),
            unit,
            second: second / scale,
            last: last / scale,
            most: values.iter().map(|(_, value)| *value).fold(0.0, f64::max),
            flat: last <= second * bound.0 + bound.1,
            values,
        }
    }

    /// Pages per call of a statement; none if it was not run often enough in both thirds.
    fn pages(&self, name: &'static str) -> Option<Line> {
        let third = self.samples.len() / 3;
        let between = |from: &Sample, to: &Sample| {
            let ((calls, pages), (more_calls, more_pages)) = (from.read[name], to.read[name]);
            (more_calls - calls >= 1.0)
                .then(|| (more_calls - calls, (more_pages - pages) / (more_calls - calls)))
        };
        let (start, middle, end) = (
            &self.samples[third],
            &self.samples[2 * third],
            self.samples.last()?,
        );
        let ((calls, second), (more_calls, last)) = (between(start, middle)?, between(middle, end)?);
        if calls.min(more_calls) < ENOUGH_CALLS {
            return None;
        }
        let values: Vec<(f64, f64)> = self
            .samples
            .windows(2)
            .filter_map(|pair| between(&pair[0], &pair[1]).map(|(_, pages)| (pair[1].at, pages)))
            .collect();
        Some(Line {
            name: format!("pages a call reads to {name}"),
            unit: "pages",
            second,
            last,
            most: values.iter().map(|(_, value)| *value).fold(0.0, f64::max),
            flat: last <= second * PAGES.0 + PAGES.1,
            values,
        })
    }
}

/// A line over time, from zero.
fn picture(title: &str, values: &[(f64, f64)]) -> String {
    let right = values.last().map_or(1.0, |(at, _)| at.max(1.0));
    let top = values.iter().map(|(_, value)| *value).fold(1.0, f64::max);
    let mut points = String::new();
    for (at, value) in values {
        let _ = write!(
            points,
            "{:.1},{:.1} ",
            40.0 + at / right * (WIDTH - 60.0),
            HEIGHT - 20.0 - value / top * (HEIGHT - 50.0)
        );
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n<text x=\"40\" y=\"18\">{title}</text>\n\
         <text x=\"4\" y=\"34\">{top:.0}</text><text x=\"4\" y=\"{}\">0</text><text x=\"{}\" y=\"{}\">{right:.0} s</text>\n\
         <polyline points=\"{points}\" fill=\"none\" stroke=\"#1f5fa8\" stroke-width=\"1.5\"/>\n</svg>\n",
        HEIGHT - 16.0,
        WIDTH - 60.0,
        HEIGHT - 4.0,
    )
}
