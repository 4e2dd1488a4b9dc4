//! Pure: how long events took, counted in steps of one part in fifty, so that memory does not grow with events.

use super::packet::Packet;

/// Seconds of the first step.
const LEAST: f64 = 1e-5;
const STEP: f64 = 1.02;
/// Up to more than a day.
const STEPS: usize = 1_200;
/// A packet's events are counted at so many points of its window at most.
const POINTS: u64 = 16;

/// Delays in seconds.
#[derive(Clone, Debug)]
pub(crate) struct Delays {
    steps: Vec<u64>,
    count: u64,
    sum: f64,
    most: f64,
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            steps: vec![0; STEPS],
            count: 0,
            sum: 0.0,
            most: 0.0,
        }
    }
}

impl Delays {
    /// Events that were there at this second.
    pub(crate) fn add(&mut self, packet: &Packet, at: f64) {
        let points = packet.count.clamp(1, POINTS);
        for point in 0..points {
            let count = packet.count * (point + 1) / points - packet.count * point / points;
            let place = (point as f64 + 0.5) / points as f64;
            let delay = at - packet.from - (packet.to - packet.from) * place;
            self.sum += delay * count as f64;
            self.steps[step(delay)] += count;
        }
        self.count += packet.count;
        if packet.count > 0 {
            self.most = self.most.max(at - packet.from);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }

    /// The upper end of the step that this part of all is not above.
    pub(crate) fn at(&self, part: f64) -> f64 {
        let rank = (self.count as f64 * part).ceil() as u64;
        let mut seen = 0;
        for (number, count) in self.steps.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return (LEAST * STEP.powi(i32::try_from(number).unwrap_or(i32::MAX))).min(self.most);
            }
        }
        self.most
    }

    pub(crate) fn most(&self) -> f64 {
        self.most
    }
}

fn step(delay: f64) -> usize {
    ((delay / LEAST).max(1.0).ln() / STEP.ln())
        .ceil()
        .min(STEPS as f64 - 1.0) as usize
}

#[cfg(test)]
mod tests {
    use super::{Delays, Packet};

    #[test]
    fn quantiles_and_mean_of_an_even_window_are_those_of_its_events() {
        let mut delays = Delays::default();
        delays.add(
            &Packet {
                count: 10_000,
                from: 0.0,
                to: 1.0,
            },
            1.0,
        );
        assert!((delays.mean() - 0.5).abs() < 1e-9);
        assert!((delays.at(0.5) - 0.5).abs() < 0.04, "{}", delays.at(0.5));
        assert!((delays.most() - 1.0).abs() < 1e-9 && delays.at(1.0) <= 1.0);
        assert_eq!(delays.count(), 10_000);
        assert!(Delays::default().at(0.99).abs() < 1e-9);
    }
}
