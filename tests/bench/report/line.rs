//! One line of a report: ours, what it is compared with, and what must hold.

use serde_json::{Value, json};

use super::number;
use super::series::{Better, Series};

/// One thing that was measured.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) ours: Series,
    /// What it is compared with, and its values from the same rounds.
    pub(crate) limit: Option<(String, Series)>,
    /// Must hold: of the ratio where there is a limit, of the value otherwise.
    pub(crate) floor: Option<f64>,
    /// Is wanted.
    pub(crate) aim: Option<f64>,
}

impl Line {
    pub(crate) fn new(what: impl Into<String>, ours: Series) -> Self {
        Self {
            what: what.into(),
            ours,
            limit: None,
            floor: None,
            aim: None,
        }
    }

    pub(crate) fn against(mut self, name: impl Into<String>, limit: Series) -> Self {
        self.limit = Some((name.into(), limit));
        self
    }

    pub(crate) fn must_reach(mut self, floor: f64, aim: f64) -> Self {
        self.floor = Some(floor);
        self.aim = Some(aim);
        self
    }

    /// Per run.
    pub(crate) fn ratio(&self) -> Option<Series> {
        self.limit.as_ref().map(|(_, limit)| self.ours.over(limit))
    }

    /// What floor and aim are of.
    pub(super) fn judged(&self) -> Series {
        self.ratio().unwrap_or_else(|| self.ours.clone())
    }

    /// False when its floor does not hold by the median, or nothing was measured.
    pub(crate) fn is_met(&self) -> bool {
        let judged = self.judged();
        self.floor
            .is_none_or(|floor| !judged.values().is_empty() && judged.keeps(floor))
    }

    /// False when there is no value, or a rate of nothing. A count or a cost may be 0.
    pub(super) fn has_happened(&self) -> bool {
        let sides = std::iter::once(&self.ours).chain(self.limit.as_ref().map(|(_, limit)| limit));
        let is_there = |series: &Series| {
            !series.values().is_empty() && (series.better() == Better::Lower || series.median() > 0.0)
        };
        sides.into_iter().all(is_there)
    }

    fn verdict(&self) -> &'static str {
        match (self.floor, self.aim) {
            (None, None) => "",
            _ if self.judged().values().is_empty() => "**not judged**",
            _ if !self.is_met() => "**no**",
            (Some(floor), _) if self.judged().spans(floor) => "undecided",
            (_, Some(aim)) if self.judged().keeps(aim) => "aim",
            _ => "floor",
        }
    }

    pub(super) const COLUMNS: [&str; 8] = [
        "what",
        "ours (range)",
        "beside",
        "that (range)",
        "ratio (range)",
        "floor",
        "aim",
        "reached",
    ];

    pub(super) fn cells(&self) -> [String; 8] {
        let bound = |bound: Option<f64>| {
            let sign = match self.ours.better() {
                Better::Higher => "≥",
                Better::Lower => "≤",
            };
            bound.map_or_else(String::new, |bound| format!("{sign} {}", number(bound)))
        };
        let (name, limit) = match &self.limit {
            Some((name, limit)) => (name.clone(), with_range(limit)),
            None => (String::new(), String::new()),
        };
        [
            self.what.clone(),
            with_range(&self.ours),
            name,
            limit,
            self.ratio()
                .map_or_else(String::new, |ratio| match ratio.values().is_empty() {
                    true => "none".to_owned(),
                    false => with_range(&ratio),
                }),
            bound(self.floor),
            bound(self.aim),
            self.verdict().to_owned(),
        ]
    }

    pub(super) fn json(&self) -> Value {
        let series = |series: &Series| {
            let (low, high) = series.range();
            json!({"unit": series.unit(), "median": series.median(), "low": low, "high": high, "runs": series.values()})
        };
        json!({
            "what": self.what,
            "better": match self.ours.better() { Better::Higher => "higher", Better::Lower => "lower" },
            "ours": series(&self.ours),
            "beside": self.limit.as_ref().map(|(name, _)| name),
            "limit": self.limit.as_ref().map(|(_, limit)| series(limit)),
            "ratio": self.ratio().as_ref().map(series),
            "floor": self.floor,
            "aim": self.aim,
            "met": self.is_met(),
            "reached": self.verdict().trim_matches('*'),
        })
    }
}

fn with_range(series: &Series) -> String {
    let (low, high) = series.range();
    let unit = match series.unit() {
        "ratio" => String::new(),
        unit => format!(" {unit}"),
    };
    match series.values().len() {
        0 => "not measured".to_owned(),
        1 => format!("{}{unit}", number(series.median())),
        _ => format!(
            "{}{unit} ({} to {})",
            number(series.median()),
            number(low),
            number(high)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, Series};

    #[test]
    fn a_floor_is_of_the_ratio_where_there_is_a_limit_and_nothing_measured_keeps_none() {
        let of = |value: f64| {
            let mut series = Series::rate();
            series.push(value);
            series
        };
        let line = Line::new("a", of(60.0))
            .against("b", of(100.0))
            .must_reach(0.5, 0.8);
        assert!(line.is_met());
        assert_eq!(line.cells()[7], "floor");
        let line = line.must_reach(0.7, 0.8);
        assert!(!line.is_met());
        assert!(Line::new("a", of(60.0)).must_reach(50.0, 55.0).is_met());
        let nothing = Line::new("a", Series::rate()).must_reach(0.0, 0.0);
        assert!(!nothing.is_met());
        assert_eq!(nothing.cells()[7], "**not judged**");
        let mut wide = of(60.0);
        wide.push(40.0);
        wide.push(80.0);
        assert_eq!(
            Line::new("a", wide).must_reach(50.0, 55.0).cells()[7],
            "undecided"
        );
        assert!(Line::new("a", of(60.0)).is_met());
        let (mut early, mut late) = (Series::delay(), Series::delay());
        early.push(-10.0);
        late.push(1.0);
        let line = Line::new("a", early).against("b", late).must_reach(2.0, 1.0);
        assert!(!line.is_met());
        assert_eq!(line.cells()[7], "**not judged**");
    }
}
