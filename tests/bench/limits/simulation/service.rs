//! Pure: what a part of the path takes for what it has in hand, and when it stands still.

use rand::Rng;
use rand_distr::{Distribution as _, Exp1};

/// One that takes what waits, up to so many events, for a time that has a fixed part and one for each event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Service {
    /// Seconds.
    pub(crate) fixed: f64,
    /// Seconds for each event.
    pub(crate) each: f64,
    /// Events at once.
    pub(crate) most: u64,
    /// The time is the mean of times without memory, not always the same.
    pub(crate) is_exponential: bool,
}

impl Service {
    /// Takes no time and everything at once.
    pub(crate) const NOTHING: Self = Self::new(0.0, 0.0, u64::MAX);

    pub(crate) const fn new(fixed: f64, each: f64, most: u64) -> Self {
        Self {
            fixed,
            each,
            most,
            is_exponential: false,
        }
    }

    /// Seconds for so many.
    pub(crate) fn seconds(&self, count: u64, random: &mut impl Rng) -> f64 {
        let mean = self.fixed + self.each * count as f64;
        if self.is_exponential {
            let drawn: f64 = Exp1.sample(random);
            return mean * drawn;
        }
        mean
    }

    /// Events a second at most.
    pub(crate) fn capacity(&self) -> f64 {
        let most = self.most as f64;
        most / (self.fixed + self.each * most)
    }
}

/// What stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The relay of a database.
    Relay(usize),
    /// A Redis.
    Node(usize),
}

/// That it does, between two seconds. What it had in hand is done again from its beginning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stall {
    pub(crate) part: Part,
    pub(crate) from: f64,
    pub(crate) to: f64,
}

/// When what begins now and takes so long is over.
pub(crate) fn ends(part: Part, stalls: &[Stall], at: f64, seconds: f64) -> f64 {
    let hit = stalls
        .iter()
        .find(|stall| stall.part == part && at < stall.to && at + seconds > stall.from);
    hit.map_or(at, |stall| stall.to) + seconds
}

#[cfg(test)]
mod tests {
    use super::{Part, Service, Stall, ends};

    #[test]
    fn what_meets_a_stall_begins_again_behind_it() {
        let part = Part::Node(1);
        let stalls = [Stall {
            part,
            from: 10.0,
            to: 15.0,
        }];
        for (part, at, end) in [
            (part, 8.0, 9.0),
            (part, 9.5, 16.0),
            (part, 12.0, 16.0),
            (part, 15.0, 16.0),
            (Part::Node(0), 12.0, 13.0),
            (Part::Relay(1), 12.0, 13.0),
        ] {
            assert!((ends(part, &stalls, at, 1.0) - end).abs() < 1e-9, "{part:?} {at}");
        }
        assert!((Service::new(0.5, 0.001, 500).capacity() - 500.0).abs() < 1e-9);
    }
}
