//! Pure: quantiles of what was measured, each a value that was measured.

/// Values in order.
#[derive(Clone, Debug)]
pub(crate) struct Quantiles(Vec<f64>);

impl Quantiles {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The least value that this part of all is not above; 0 of none.
    pub(crate) fn at(&self, part: f64) -> f64 {
        let place = (self.0.len() as f64 * part).ceil() as usize;
        self.0
            .get(place.saturating_sub(1).min(self.0.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Quantiles;

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let values = Quantiles::of((1..=1000).rev().map(f64::from));
        for (part, value) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)] {
            assert!((values.at(part) - value).abs() < 1e-9, "{part}");
        }
        assert!(Quantiles::of([]).at(0.5).abs() < 1e-9);
        assert!((Quantiles::of([7.0]).at(0.001) - 7.0).abs() < 1e-9);
    }
}
