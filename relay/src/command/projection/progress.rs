//! Pure: how far a rebuild is, as a line with a bar, and whether it is at rest.

use super::Row;
use crate::exit::Exit;

const WIDTH: usize = 30;

/// How a rebuild is, out of a row of `outbox_ops.projections`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Progress {
    number: Option<i64>,
    state: String,
    is_paused: bool,
    events: i64,
    share: f64,
    per_second: Option<f64>,
    left_seconds: Option<f64>,
    said: Option<String>,
}

/// How it came to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// It is live.
    Switched,
    /// It waits for a person.
    Held,
    /// It was ended by a person.
    Cancelled,
    /// It is over, and a newer one was ordered since.
    Replaced,
}

impl Rest {
    pub(super) fn exit(self) -> Exit {
        match self {
            Self::Switched => Exit::Success,
            Self::Held => Exit::Degraded,
            Self::Cancelled | Self::Replaced => Exit::Partial,
        }
    }
}

impl Progress {
    pub(super) fn of(row: &Row) -> Self {
        let number = |column: &str| row.get(column).and_then(serde_json::Value::as_f64);
        let text = |column: &str| row.get(column).and_then(|value| value.as_str());
        Self {
            number: row.get("rebuild").and_then(serde_json::Value::as_i64),
            state: text("rebuild_state").unwrap_or_default().to_owned(),
            is_paused: row.get("rebuild_paused").is_some_and(|paused| paused == true),
            events: row
                .get("rebuilt_events")
                .and_then(serde_json::Value::as_i64)
                .unwrap_or(0),
            share: number("rebuilt_share").unwrap_or(0.0).clamp(0.0, 1.0),
            per_second: number("rebuilt_per_second"),
            left_seconds: number("rebuild_left_seconds"),
            said: text("rebuild_said").map(str::to_owned),
        }
    }

    /// Whether rebuild `number` is at rest, and how.
    pub(super) fn rest(&self, number: i64) -> Option<Rest> {
        if self.number != Some(number) {
            return Some(Rest::Replaced);
        }
        match self.state.as_str() {
            "switched" => Some(Rest::Switched),
            "held" => Some(Rest::Held),
            "cancelled" => Some(Rest::Cancelled),
            _ => None,
        }
    }

    /// One line, as wide whatever it says.
    pub(super) fn line(&self, name: &str) -> String {
        // A share is 0 to 1: what is cut off is a part of a character.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let (full, percent) = (
            (self.share * WIDTH as f64) as usize,
            (self.share * 100.0).floor() as u32,
        );
        let bar = format!("{}{}", "#".repeat(full), "-".repeat(WIDTH - full));
        format!("{name}  [{bar}] {percent:>3} %  {}", self.words())
    }

    fn words(&self) -> String {
        let events = format!("{} events", self.events);
        match self.state.as_str() {
            "ordered" => "ordered; a process that runs it begins".to_owned(),
            "building" if self.is_paused => format!("{events}, paused"),
            "building" if self.share >= 1.0 => format!("{events}, about to be compared"),
            "building" => {
                let rate = self
                    .per_second
                    .map_or_else(String::new, |rate| format!(", {rate:.0} per second"));
                let left = self
                    .left_seconds
                    .map_or_else(String::new, |left| format!(", {left:.0} s left"));
                format!("{events}{rate}{left}")
            }
            state => match &self.said {
                Some(said) => format!("{state}: {said}"),
                None => state.to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn progress(row: serde_json::Value) -> Progress {
        Progress::of(row.as_object().expect("an object"))
    }

    #[test]
    fn a_line_shows_how_far_it_is_and_how_long_it_takes() {
        let half = progress(json!({
            "rebuild": 7, "rebuild_state": "building", "rebuilt_events": 1200, "rebuilt_share": 0.5,
            "rebuilt_per_second": 599.7, "rebuild_left_seconds": 2.2,
        }));
        assert_eq!(
            half.line("points"),
            "points  [###############---------------]  50 %  1200 events, 600 per second, 2 s left"
        );
        assert_eq!((half.rest(7), half.rest(6)), (None, Some(Rest::Replaced)));
    }

    #[test]
    fn what_a_row_lacks_is_shown_as_nothing_and_a_share_beyond_its_bounds_is_cut() {
        assert_eq!(
            progress(json!({ "rebuild_state": "ordered", "rebuild": 1 })).line("p"),
            format!(
                "p  [{}]   0 %  ordered; a process that runs it begins",
                "-".repeat(30)
            )
        );
        let over = progress(json!({ "rebuild": 1, "rebuild_state": "building", "rebuilt_share": 1.5 }));
        assert!(over.line("p").contains("100 %  0 events, about to be compared"));
    }

    #[test]
    fn each_rest_has_its_exit_code() {
        for (state, exit) in [
            ("switched", Exit::Success),
            ("held", Exit::Degraded),
            ("cancelled", Exit::Partial),
        ] {
            let rest = progress(json!({ "rebuild": 1, "rebuild_state": state })).rest(1);
            assert_eq!(rest.map(Rest::exit), Some(exit), "{state}");
        }
    }
}
