//! Pure: what the page says of the windows.

use std::time::Duration;

use crate::report::{Better, Line, Series};

/// What was counted in a window, for a minute.
#[derive(Clone, Debug)]
pub(super) struct Minute {
    pub(super) queries: [f64; 2],
    pub(super) commands: f64,
    /// Relay, consumer, Postgres, Redis; a consumer that is stopped has none.
    pub(super) wake_ups: [f64; 4],
    pub(super) cpu: [f64; 4],
}

const WHO: [&str; 4] = ["relay", "consumer", "Postgres", "Redis"];

/// The lines of the page.
pub(super) fn lines(both: &[Minute], alone: &[Minute]) -> Vec<Line> {
    let series = |unit, minutes: &[Minute], value: &dyn Fn(&Minute) -> f64| {
        let mut series = Series::new(unit, Better::Lower);
        minutes.iter().for_each(|minute| series.push(value(minute)));
        series
    };
    let mut lines = Vec::new();
    for (place, who) in WHO.into_iter().take(2).enumerate() {
        let queries = series("a minute", both, &|minute| minute.queries[place]);
        lines.push(Line::new(format!("queries of the {who}"), queries).must_reach(60.0, 12.0));
    }
    let sum = series("a minute", both, &|minute| minute.queries.iter().sum());
    lines.push(Line::new("queries of both together", sum).must_reach(60.0, 12.0));
    lines.push(Line::new(
        "commands at Redis, relay and consumer",
        series("a minute", both, &|minute| minute.commands),
    ));
    lines.push(Line::new(
        "commands at Redis, the relay alone",
        series("a minute", alone, &|minute| minute.commands),
    ));
    for (place, who) in WHO.into_iter().enumerate() {
        let wake_ups = series("a minute", both, &|minute| minute.wake_ups[place]);
        lines.push(Line::new(format!("wake-ups of {who}"), wake_ups));
    }
    for (place, who) in WHO.into_iter().enumerate() {
        let cpu = series("ms a minute", both, &|minute| minute.cpu[place]);
        lines.push(Line::new(format!("CPU of {who}"), cpu));
    }
    lines
}

/// How long the first event behind the windows took.
pub(super) fn lines_of_waking(to_the_effect: Duration, to_the_entry: Duration) -> [Line; 2] {
    let line = |what: &str, took: Duration| {
        let mut series = Series::new("s", Better::Lower);
        series.push(took.as_secs_f64());
        Line::new(what, series).must_reach(5.0, 1.0)
    };
    [
        line(
            "behind the windows of both, from an append to its effect",
            to_the_effect,
        ),
        line(
            "behind those of the relay alone, from an append to its entry",
            to_the_entry,
        ),
    ]
}

/// Which queries and commands these were.
pub(super) fn notes(
    told: &[(&'static str, String, i64)],
    commands: &[(String, i64)],
    minutes: f64,
) -> Vec<String> {
    let mut notes: Vec<String> = told
        .iter()
        .map(|(who, text, calls)| format!("{who}, {:.1} a minute: `{text}`", *calls as f64 / minutes))
        .collect();
    let commands: Vec<String> = commands
        .iter()
        .map(|(name, calls)| format!("{name} {:.1}", *calls as f64 / minutes))
        .collect();
    notes.push(format!(
        "Commands at Redis, of both, a minute: {}.",
        commands.join(", ")
    ));
    notes
}
