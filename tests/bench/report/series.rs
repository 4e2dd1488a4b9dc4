//! The values of one thing, one per run, in the order of the runs: median and range.

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    /// As rates are.
    Higher,
    /// As delays and costs are.
    Lower,
}

/// What was measured of one thing. Runs of the same number in two series were made in the same round; a round that failed has none.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    unit: &'static str,
    better: Better,
    rounds: Vec<Option<f64>>,
}

impl Series {
    pub(crate) fn new(unit: &'static str, better: Better) -> Self {
        Self {
            unit,
            better,
            rounds: Vec::new(),
        }
    }

    /// Operations in a second.
    pub(crate) fn rate() -> Self {
        Self::new("per s", Better::Higher)
    }

    /// Delays in milliseconds.
    pub(crate) fn delay() -> Self {
        Self::new("ms", Better::Lower)
    }

    /// Takes the value of one run.
    pub(crate) fn push(&mut self, value: f64) {
        self.rounds.push(Some(value));
    }

    /// Takes note of a round in which it could not be measured.
    pub(crate) fn miss(&mut self) {
        self.rounds.push(None);
    }

    /// Takes a run of so many operations as a rate.
    pub(crate) fn add(&mut self, operations: usize, seconds: f64) {
        self.push(operations as f64 / seconds);
    }

    pub(crate) fn unit(&self) -> &'static str {
        self.unit
    }

    pub(crate) fn better(&self) -> Better {
        self.better
    }

    /// Of the rounds that have one.
    pub(crate) fn values(&self) -> Vec<f64> {
        self.rounds.iter().copied().flatten().collect()
    }

    /// 0 without a run.
    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        match sorted.len() {
            0 => 0.0,
            count if count % 2 == 1 => sorted[count / 2],
            count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
        }
    }

    /// The lowest and the highest.
    pub(crate) fn range(&self) -> (f64, f64) {
        let sorted = self.sorted();
        let end = |value: Option<&f64>| value.copied().unwrap_or_default();
        (end(sorted.first()), end(sorted.last()))
    }

    /// Each run by the run of the same round. Which way is better stays.
    ///
    /// Where less is better a value that is not above 0 has no ratio that says anything (10 ms before would win against any delay), and
    /// the rounds without it would be those that somebody chose: then there is none at all.
    pub(crate) fn over(&self, other: &Self) -> Self {
        let pairs = || self.rounds.iter().zip(&other.rounds);
        let says = |value: f64| self.better == Better::Higher || value > 0.0;
        let all_say = pairs()
            .filter_map(|(mine, theirs)| Some([(*mine)?, (*theirs)?]))
            .all(|pair| pair.into_iter().all(says));
        let ratio = |(mine, theirs): (&Option<f64>, &Option<f64>)| Some((*mine)? / (*theirs)?);
        Self {
            unit: "ratio",
            better: self.better,
            rounds: pairs().map(|pair| ratio(pair).filter(|_| all_say)).collect(),
        }
    }

    /// True when a bound is kept.
    pub(crate) fn keeps(&self, bound: f64) -> bool {
        match self.better {
            Better::Higher => self.median() >= bound,
            Better::Lower => self.median() <= bound,
        }
    }

    /// True when a bound lies within the range: some runs keep it, others do not.
    pub(crate) fn spans(&self, bound: f64) -> bool {
        let (low, high) = self.range();
        low < bound && bound < high
    }

    /// True when every value of the one is beyond every value of the other.
    pub(crate) fn is_apart_from(&self, other: &Self) -> bool {
        let ((low, high), (others_low, others_high)) = (self.range(), other.range());
        high < others_low || others_high < low
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.values();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::{Better, Series};

    fn series(better: Better, values: &[f64]) -> Series {
        let mut series = Series::new("ms", better);
        for value in values {
            series.push(*value);
        }
        series
    }

    #[test]
    fn the_median_is_the_middle_and_the_range_the_ends() {
        let odd = series(Better::Higher, &[100.0, 25.0, 50.0]);
        assert!((odd.median() - 50.0).abs() < 0.01);
        assert_eq!(odd.range(), (25.0, 100.0));
        assert!((series(Better::Higher, &[50.0, 100.0]).median() - 75.0).abs() < 0.01);
        assert!(series(Better::Higher, &[]).median().abs() < f64::EPSILON);
    }

    #[test]
    fn a_round_that_failed_has_no_ratio_and_the_others_keep_theirs() {
        let mut holed = series(Better::Higher, &[2.0]);
        holed.miss();
        holed.push(9.0);
        let ratio = series(Better::Higher, &[4.0, 5.0, 9.0]).over(&holed);
        assert_eq!(ratio.values(), [2.0, 1.0]);
    }

    #[test]
    fn a_delay_that_is_not_above_zero_has_no_ratio_and_wins_nothing() {
        let delays = |values| series(Better::Lower, values);
        for (mine, theirs) in [
            (delays(&[-10.0, 3.0]), delays(&[1.0, 1.0])),
            (delays(&[1.0, 3.0]), delays(&[-1.0, 1.0])),
            (delays(&[0.0]), delays(&[1.0])),
        ] {
            assert!(mine.over(&theirs).values().is_empty(), "{mine:?} over {theirs:?}");
        }
        let none = series(Better::Higher, &[0.0]).over(&series(Better::Higher, &[2.0]));
        assert_eq!(none.values(), [0.0]);
    }

    #[test]
    fn ranges_that_meet_are_not_told_apart() {
        let [low, high, wide] =
            [[1.0, 2.0], [3.0, 4.0], [2.0, 3.0]].map(|values| series(Better::Lower, &values));
        assert!(low.is_apart_from(&high) && high.is_apart_from(&low));
        assert!(!low.is_apart_from(&wide) && !wide.is_apart_from(&high));
        assert!(low.spans(1.5) && !low.spans(3.0) && !low.spans(2.0));
    }

    #[test]
    fn ratios_are_of_runs_of_the_same_round_and_bounds_go_the_way_that_is_better() {
        let ratio = series(Better::Lower, &[1.0, 9.0, 4.0]).over(&series(Better::Lower, &[1.0, 3.0, 2.0]));
        assert_eq!(ratio.values(), [1.0, 3.0, 2.0]);
        assert!(ratio.keeps(2.0) && !ratio.keeps(1.9));
        assert!(series(Better::Higher, &[0.5]).keeps(0.5) && !series(Better::Higher, &[0.5]).keeps(0.6));
    }
}
