//! Pure: one thing that happened to an event, and the order of all of them.

use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;

/// One thing that happened to an event, or is so.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// When; none for what is so and did not happen at a moment.
    #[serde(with = "time::serde::rfc3339::option")]
    pub at: Option<OffsetDateTime>,
    /// The consumer group it happened in; none for the log and its stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// The database it was read from.
    pub database: String,
    /// What: `appended`, `stored`, `private`, `cut`, `uncut`, `forgotten`, `published`, `unpublished`, `unsent`, `reissued`, `failed`, `parked`, `applied`,
    /// `skipped`, `dead`, `edited`, `discarded`, `redriven` or `caused`.
    pub step: String,
    /// More about it, by name.
    pub detail: Map<String, Value>,
}

/// Whether an entry is on its stream now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It is.
    Present,
    /// It is below the first entry: it was trimmed after it was published.
    Trimmed,
    /// It is not, and nothing before it is missing: the stream lost it.
    Missing,
}

impl Step {
    /// A text among the details.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.detail.get(name)?.as_str()
    }

    /// A number among the details.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        self.detail.get(name)?.as_i64()
    }
}

/// The steps in one order. Times of several clocks are compared, and of the publisher it is only known by when it had the answer:
/// so what is of the log and its stream comes as it must have been, and the consumers' steps by their times.
#[must_use]
pub fn in_order(mut steps: Vec<Step>) -> Vec<Step> {
    let place = |step: &Step| (step.number("position"), step.number("batch"));
    let cut_at: Vec<_> = steps
        .iter()
        .filter(|step| matches!(step.step.as_str(), "cut" | "reissued"))
        .map(|step| (place(step), step.at))
        .collect();
    steps.sort_by_key(|step| {
        let of_its_batch = cut_at
            .iter()
            .find(|(of, _)| step.step == "published" && *of == place(step));
        let at = of_its_batch.map_or(step.at, |(_, cut_at)| *cut_at);
        // What one transaction writes has times that differ by microseconds, in no order that means anything.
        let millisecond = at.map(|at| at.unix_timestamp_nanos() / 1_000_000);
        (at.is_none(), millisecond, rank(&step.step), at)
    });
    steps
}

/// What comes first of what happened at one moment.
fn rank(step: &str) -> u8 {
    const ORDER: [&str; 13] = [
        "appended",
        "cut",
        "reissued",
        "published",
        "unpublished",
        "failed",
        "parked",
        "edited",
        "redriven",
        "applied",
        "skipped",
        "dead",
        "discarded",
    ];
    let place = ORDER.iter().position(|known| *known == step);
    place
        .and_then(|place| u8::try_from(place).ok())
        .unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    fn step(name: &str, milliseconds: Option<i64>) -> Step {
        let at = milliseconds.map(|at| OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(at));
        let at = at.map(|at| {
            if name == "failed" {
                at + Duration::microseconds(1)
            } else {
                at
            }
        });
        let detail = Map::from_iter([("position".to_owned(), Value::from(7))]);
        Step {
            at,
            consumer: None,
            database: String::new(),
            step: name.to_owned(),
            detail,
        }
    }

    fn names(steps: Vec<Step>) -> Vec<String> {
        in_order(steps).into_iter().map(|step| step.step).collect()
    }

    #[test]
    fn it_was_published_before_it_was_applied_although_that_was_noted_later() {
        let steps = vec![
            step("applied", Some(20)),
            step("published", Some(90)),
            step("appended", Some(10)),
            step("cut", Some(12)),
        ];
        assert_eq!(names(steps), ["appended", "cut", "published", "applied"]);
    }

    #[test]
    fn what_is_so_comes_last_and_what_happened_at_once_as_it_must_have() {
        let steps = vec![
            step("uncut", None),
            step("dead", Some(20)),
            step("failed", Some(20)),
            step("appended", Some(10)),
        ];
        assert_eq!(names(steps), ["appended", "failed", "dead", "uncut"]);
    }
}
