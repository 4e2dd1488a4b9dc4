//! Pure: bars, one for each kind of fault.

use std::fmt::{self, Write};

use super::{Line, lines};
use crate::chaos::record::Record;

const ROW: usize = 18;
const LABEL: usize = 210;
const WIDTH: usize = 860;

/// One bar: its whole length, a darker part of it, and what is written behind it.
struct Bar {
    kind: String,
    whole: u64,
    part: u64,
    text: String,
}

/// How many faults of each kind met something.
///
/// # Errors
/// Never: it is written to memory.
pub fn faults_by_kind(records: &[Record]) -> Result<String, fmt::Error> {
    let bar = |line: Line| Bar {
        kind: line.kind,
        whole: line.done as u64,
        part: line.done as u64,
        text: line.done.to_string(),
    };
    let bars: Vec<Bar> = lines(records).into_iter().map(bar).collect();
    plot(&bars, "faults that met something")
}

/// Of each kind the median and the slowest recovery.
///
/// # Errors
/// Never: it is written to memory.
pub fn recovery_by_kind(records: &[Record]) -> Result<String, fmt::Error> {
    let bar = |line: Line| {
        let (median, slowest) = (line.median().unwrap_or(0), line.slowest().unwrap_or(0));
        Bar {
            kind: line.kind,
            whole: slowest,
            part: median,
            text: format!("{slowest} ms"),
        }
    };
    let bars: Vec<Bar> = lines(records).into_iter().map(bar).collect();
    plot(&bars, "blue: median; grey: slowest")
}

fn plot(bars: &[Bar], legend: &str) -> Result<String, fmt::Error> {
    let most = bars.iter().map(|bar| bar.whole).max().unwrap_or(1).max(1);
    let scale = |value: u64| LABEL as f64 + value as f64 / most as f64 * (WIDTH - LABEL - 80) as f64;
    let height = (bars.len() + 2) * ROW;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (number, bar) in bars.iter().enumerate() {
        let y = (number + 1) * ROW;
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LABEL - 8,
            y + 4,
            bar.kind
        )?;
        for (value, colour) in [(bar.whole, "#b0b8c4"), (bar.part, "#2f6f9f")] {
            writeln!(
                svg,
                "<line x1=\"{LABEL}\" y1=\"{y}\" x2=\"{:.0}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"6\"/>",
                scale(value)
            )?;
        }
        writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{}\">{}</text>",
            scale(bar.whole) + 6.0,
            y + 4,
            bar.text
        )?;
    }
    writeln!(
        svg,
        "<text x=\"{LABEL}\" y=\"{}\">{legend}</text>\n</svg>",
        height - 6
    )?;
    Ok(svg)
}
