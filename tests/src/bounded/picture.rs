//! Pure: a line over time, as SVG.

use std::fmt::Write as _;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 160.0;

/// From zero, with a mark at each of these times.
pub(super) fn picture(title: &str, values: &[(f64, f64)], marks: &[(f64, &str)]) -> String {
    let right = values.last().map_or(1.0, |(at, _)| at.max(1.0));
    let top = values.iter().map(|(_, value)| *value).fold(1.0, f64::max);
    let x = |at: f64| 40.0 + at / right * (WIDTH - 60.0);
    let mut points = String::new();
    for (at, value) in values {
        // Writing to a String does not fail.
        let _ = write!(
            points,
            "{:.1},{:.1} ",
            x(*at),
            HEIGHT - 20.0 - value / top * (HEIGHT - 50.0)
        );
    }
    let mut lines = String::new();
    for (at, what) in marks {
        let _ = write!(
            lines,
            "<line x1=\"{0:.1}\" y1=\"24\" x2=\"{0:.1}\" y2=\"{1}\" stroke=\"#999\" stroke-dasharray=\"3 3\"/>\n\
             <text x=\"{2:.1}\" y=\"{3}\" fill=\"#666\" font-size=\"10\">{what}</text>\n",
            x(*at),
            HEIGHT - 20.0,
            x(*at) + 3.0,
            HEIGHT - 6.0,
        );
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n<text x=\"40\" y=\"18\">{title}</text>\n\
         <text x=\"4\" y=\"34\">{top:.0}</text><text x=\"4\" y=\"{}\">0</text><text x=\"{}\" y=\"{}\">{right:.0} s</text>\n\
         {lines}<polyline points=\"{points}\" fill=\"none\" stroke=\"#1f5fa8\" stroke-width=\"1.5\"/>\n</svg>\n",
        HEIGHT - 16.0,
        WIDTH - 60.0,
        18.0,
    )
}
