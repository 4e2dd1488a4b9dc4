//! Pure: a bar per line, as SVG. Each is drawn to its own scale, with its range, and marks where floor and aim are.

use std::fmt::Write as _;

use super::line::Line;
use super::number;

const WIDTH: f64 = 820.0;
const ROW: f64 = 34.0;
const TOP: f64 = 44.0;
const LEFT: f64 = 10.0;
/// Where bars begin, and how long the longest thing of a line is.
const BAR: f64 = 400.0;
const LENGTH: f64 = 320.0;

pub(super) fn picture(title: &str, lines: &[Line]) -> String {
    let height = TOP + ROW * lines.len() as f64 + 30.0;
    let mut rows = String::new();
    for (index, line) in lines.iter().enumerate() {
        rows += &row(line, TOP + ROW * index as f64);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n<text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{}</text>\n\
         {rows}<text x=\"{LEFT}\" y=\"{}\" fill=\"#666\" font-size=\"10\">bar: median of ours, as a ratio where it is beside something; thin line: range; red: floor; green: aim</text>\n</svg>\n",
        escaped(title),
        height - 10.0
    )
}

fn row(line: &Line, y: f64) -> String {
    let judged = line.judged();
    let (low, high) = judged.range();
    let marks = [(line.floor, "#c0392b"), (line.aim, "#2e8b57")];
    let most = marks
        .iter()
        .filter_map(|(bound, _)| *bound)
        .fold(high.max(f64::MIN_POSITIVE), f64::max);
    let x = |value: f64| BAR + value / most * LENGTH;
    let median = judged.median();
    let unit = if line.limit.is_some() { "×" } else { judged.unit() };
    let mut text = format!(
        "<text x=\"{LEFT}\" y=\"{:.1}\">{}</text>\n\
         <rect x=\"{BAR}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"18\" fill=\"#9db8d9\"/>\n\
         <line x1=\"{:.1}\" y1=\"{middle:.1}\" x2=\"{:.1}\" y2=\"{middle:.1}\" stroke=\"#1f5fa8\" stroke-width=\"2\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\">{} {unit}</text>\n",
        y + 13.0,
        escaped(&line.what),
        x(median) - BAR,
        x(low),
        x(high),
        BAR + LENGTH + 8.0,
        y + 13.0,
        number(median),
        middle = y + 9.0,
    );
    for (bound, colour) in marks {
        let Some(bound) = bound else { continue };
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "<line x1=\"{0:.1}\" y1=\"{1:.1}\" x2=\"{0:.1}\" y2=\"{2:.1}\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            x(bound),
            y - 3.0,
            y + 21.0
        );
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
