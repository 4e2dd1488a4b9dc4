//! Pure: lines over an axis, as SVG.

use std::fmt::Write as _;

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 40.0;
const COLOURS: [&str; 4] = ["#1f5fa8", "#c0392b", "#2e8b57", "#8e5ea2"];

/// How a picture is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axes<'a> {
    pub(super) title: &'a str,
    pub(super) across: &'a str,
    pub(super) up: &'a str,
    /// Each step up is ten times the one below.
    pub(super) is_logarithmic: bool,
}

/// Names and points; all of them on the same axes, from zero, or from the least where steps are tenfold.
pub(super) fn chart(axes: Axes<'_>, series: &[(String, Vec<(f64, f64)>)]) -> String {
    let points = || series.iter().flat_map(|(_, points)| points);
    let right = points().map(|point| point.0).fold(f64::MIN_POSITIVE, f64::max);
    let most = points().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max);
    let least = points()
        .map(|point| point.1)
        .filter(|value| *value > 0.0)
        .fold(most, f64::min);
    let (low, high) = match axes.is_logarithmic {
        true => (
            least.log10().floor(),
            most.log10().ceil().max(least.log10().floor() + 1.0),
        ),
        false => (0.0, most),
    };
    let x = |value: f64| LEFT + value / right * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| {
        let value = if axes.is_logarithmic {
            value.max(least).log10()
        } else {
            value
        };
        HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
    };
    let mut drawn = String::new();
    for value in ticks(axes.is_logarithmic, low, high) {
        // Writing to a String does not fail.
        let _ = writeln!(
            drawn,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{1:.1}\" y2=\"{1:.1}\" stroke=\"#ddd\"/>\n<text x=\"{2}\" y=\"{3:.1}\" text-anchor=\"end\" fill=\"#666\">{4}</text>",
            WIDTH - RIGHT,
            y(value),
            LEFT - 6.0,
            y(value) + 4.0,
            told(value)
        );
    }
    for step in 0..=4_u8 {
        let value = right * f64::from(step) / 4.0;
        let _ = writeln!(
            drawn,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#666\">{}</text>",
            x(value),
            HEIGHT - BOTTOM + 16.0,
            told(value)
        );
    }
    for (number, (name, points)) in series.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let line: Vec<String> = points
            .iter()
            .map(|(across, up)| format!("{:.1},{:.1}", x(*across), y(*up)))
            .collect();
        let _ = writeln!(
            drawn,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n<text x=\"{}\" y=\"42\" fill=\"{colour}\">{name}</text>",
            line.join(" "),
            LEFT + 185.0 * number as f64
        );
    }
    let Axes {
        title, across, up, ..
    } = axes;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n<text x=\"10\" y=\"22\" font-size=\"15\">{title}</text>\n{drawn}\
         <text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#666\">{across}</text>\n<text x=\"10\" y=\"{}\" fill=\"#666\">{up}</text>\n</svg>\n",
        LEFT + (WIDTH - LEFT - RIGHT) / 2.0,
        HEIGHT - 8.0,
        TOP - 4.0
    )
}

/// Values at which there is a line across.
fn ticks(is_logarithmic: bool, low: f64, high: f64) -> Vec<f64> {
    match is_logarithmic {
        true => (low as i32..=high as i32)
            .map(|exponent| 10_f64.powi(exponent))
            .collect(),
        false => (0..=4_u8).map(|step| high * f64::from(step) / 4.0).collect(),
    }
}

fn told(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.1} M", value / 1e6),
        value if value >= 1e3 => format!("{:.0} k", value / 1e3),
        value if value >= 10.0 || value.fract().abs() < 1e-9 => format!("{value:.0}"),
        value => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Axes, chart, ticks, told};

    #[test]
    fn each_line_is_drawn_with_its_name_within_the_picture() {
        let series = [
            ("first".to_owned(), vec![(0.0, 1.0), (10.0, 100.0)]),
            ("second".to_owned(), vec![(0.0, 0.0), (10.0, 50.0)]),
        ];
        for is_logarithmic in [false, true] {
            let axes = Axes {
                title: "A title",
                across: "s",
                up: "ms",
                is_logarithmic,
            };
            let picture = chart(axes, &series);
            assert_eq!(picture.matches("<polyline").count(), 2);
            assert!(picture.contains("first") && picture.contains("A title") && !picture.contains("NaN"));
            // From one of a hundred, or the least there is, to the most.
            let begins = if is_logarithmic { "280.0" } else { "277.8" };
            assert!(
                picture.contains(&format!("70.0,{begins} 800.0,64.0")),
                "{picture}"
            );
        }
        assert_eq!(ticks(true, 0.0, 2.0), [1.0, 10.0, 100.0]);
        assert_eq!(told(2_500_000.0), "2.5 M");
    }
}
