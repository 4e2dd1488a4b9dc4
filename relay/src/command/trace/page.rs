//! What a trace says, for people.

use outbox_core::ops::trace::Step;
use time::{OffsetDateTime, UtcOffset};

use super::Report;
use crate::output::table;

pub(super) fn page(report: &Report) -> String {
    let mut page = match report.steps.is_empty() {
        true => format!(
            "nobody who was asked knows event {}: it was never committed here, or its retention is over\n",
            report.event
        ),
        false => steps(&report.steps),
    };
    for place in &report.asked {
        let why = place.problem.as_deref().or(place.left_out);
        if let Some(why) = why {
            let not = if place.problem.is_some() {
                "could not be asked"
            } else {
                "not asked"
            };
            let address = [" ", place.address.as_str()].concat();
            page.push_str(&format!("{}{} {not}: {why}\n", place.part, address.trim_end()));
        }
    }
    page
}

fn steps(steps: &[Step]) -> String {
    let rows: Vec<Vec<String>> = steps
        .iter()
        .map(|step| {
            let at = step.at.map_or_else(|| "now".to_owned(), moment);
            let who = step.consumer.clone().unwrap_or_else(|| "log".to_owned());
            vec![at, who, step.step.clone(), step.sentence()]
        })
        .collect();
    table(&["AT", "WHO", "STEP", "WHAT AND WHY"], &rows)
}

/// To the millisecond, in UTC.
fn moment(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    let (date, clock) = (at.date(), at.time());
    format!(
        "{date} {:02}:{:02}:{:02}.{:03}",
        clock.hour(),
        clock.minute(),
        clock.second(),
        clock.millisecond()
    )
}
