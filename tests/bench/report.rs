//! Medians with their ranges, as a table.

use super::case::Case;

/// The rates of one case, in events per second.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    name: String,
    rates: Vec<f64>,
}

impl Series {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            rates: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, events: usize, seconds: f64) {
        self.rates.push(events as f64 / seconds);
        self.rates.sort_by(f64::total_cmp);
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn median(&self) -> f64 {
        match self.rates.len() {
            0 => 0.0,
            count if count % 2 == 1 => self.rates[count / 2],
            count => f64::midpoint(self.rates[count / 2 - 1], self.rates[count / 2]),
        }
    }

    pub(crate) fn range(&self) -> (f64, f64) {
        (
            self.rates.first().copied().unwrap_or_default(),
            self.rates.last().copied().unwrap_or_default(),
        )
    }
}

/// One line per case; the last column is its median over that of the raw inserts it is compared with.
pub(crate) fn table(cases: &[Case], series: &[Series]) -> String {
    let mut table =
        "| what | partitions | events per transaction | concurrency | events/s | range | of raw |\n\
                     |---|---|---|---|---|---|---|\n"
            .to_owned();
    for (case, own) in cases.iter().zip(series) {
        let raw = cases.iter().position(|other| *other == case.measure());
        let share = raw.map_or("".to_owned(), |raw| {
            format!("{:.2}", own.median() / series[raw].median())
        });
        let (low, high) = own.range();
        table += &format!(
            "| {} | {:.0} | {low:.0} to {high:.0} | {share} |\n",
            own.name,
            own.median()
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::Series;

    fn series(seconds: &[f64]) -> Series {
        let mut series = Series::new("case".to_owned());
        for seconds in seconds {
            series.add(100, *seconds);
        }
        series
    }

    #[test]
    fn the_median_is_the_middle_and_the_range_the_ends() {
        let odd = series(&[1.0, 4.0, 2.0]);
        assert!((odd.median() - 50.0).abs() < 0.01);
        assert_eq!(odd.range(), (25.0, 100.0));
        assert!((series(&[1.0, 2.0]).median() - 75.0).abs() < 0.01);
    }
}
