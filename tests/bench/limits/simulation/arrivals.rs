//! When events come: as of people who know nothing of each other (Poisson), or in bursts, which is that at a rate that changes between
//! two at random. Deterministic by its seed.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand_distr::{Distribution as _, Exp, Poisson};

use super::packet::{Packet, Queue};

/// How they come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pattern {
    Poisson,
    /// In this part of the time so many times as many as in the mean, for so many seconds each in the mean.
    Bursty {
        times: f64,
        part: f64,
        lasts: f64,
    },
}

impl Pattern {
    /// Three times as many in a tenth of the time, a tenth of a second each.
    pub(crate) const BURSTY: Self = Self::Bursty {
        times: 3.0,
        part: 0.1,
        lasts: 0.1,
    };

    /// Times the mean rate, and seconds in the mean, of a phase.
    fn phase(self, is_burst: bool) -> (f64, f64) {
        match self {
            Self::Poisson => (1.0, f64::INFINITY),
            Self::Bursty { times, lasts, .. } if is_burst => (times, lasts),
            Self::Bursty { times, part, lasts } => {
                ((1.0 - times * part) / (1.0 - part), lasts * (1.0 - part) / part)
            }
        }
    }
}

/// A source of events.
#[derive(Clone, Debug)]
pub(crate) struct Arrivals {
    rate: f64,
    pattern: Pattern,
    /// None come later.
    end: f64,
    random: StdRng,
    /// Until when they are drawn.
    at: f64,
    is_burst: bool,
    phase_ends: f64,
}

impl Arrivals {
    pub(crate) fn new(rate: f64, pattern: Pattern, end: f64, seed: u64) -> Self {
        let mut arrivals = Self {
            rate,
            pattern,
            end,
            random: StdRng::seed_from_u64(seed),
            at: 0.0,
            is_burst: false,
            phase_ends: 0.0,
        };
        arrivals.phase_ends = arrivals.draw_phase();
        arrivals
    }

    /// Puts what comes up to a second into a queue.
    pub(crate) fn until(&mut self, to: f64, queue: &mut Queue) {
        let to = to.min(self.end);
        while self.at < to {
            let from = self.at;
            self.at = to.min(self.phase_ends);
            let mean = self.rate_now() * (self.at - from);
            // A mean of 0 is no distribution; nothing comes then.
            let count = Poisson::new(mean).map_or(0.0, |poisson| poisson.sample(&mut self.random));
            queue.push(Packet {
                count: count as u64,
                from,
                to: self.at,
            });
            self.turn();
        }
    }

    /// Draws to the next event and says when it comes, if there is one.
    pub(crate) fn next(&mut self) -> Option<f64> {
        while self.at < self.end {
            let gap = Exp::new(self.rate_now()).map_or(f64::INFINITY, |gaps| gaps.sample(&mut self.random));
            if self.at + gap < self.phase_ends {
                self.at += gap;
                return (self.at < self.end).then_some(self.at);
            }
            // Gaps have no memory: from the phase's end on another one is drawn.
            self.at = self.phase_ends;
            self.turn();
        }
        None
    }

    fn rate_now(&self) -> f64 {
        self.rate * self.pattern.phase(self.is_burst).0
    }

    fn turn(&mut self) {
        if self.at >= self.phase_ends {
            self.is_burst = !self.is_burst;
            self.phase_ends = self.at + self.draw_phase();
        }
    }

    fn draw_phase(&mut self) -> f64 {
        let (_, mean) = self.pattern.phase(self.is_burst);
        Exp::new(1.0 / mean)
            .ok()
            .filter(|_| mean.is_finite())
            .map_or(f64::INFINITY, |lengths| lengths.sample(&mut self.random))
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrivals, Pattern, Queue};

    #[test]
    fn as_many_come_as_the_rate_says_whichever_way_they_are_drawn_and_the_same_for_a_seed() {
        for pattern in [Pattern::Poisson, Pattern::BURSTY] {
            let count = |step: f64| {
                let mut arrivals = Arrivals::new(500.0, pattern, 200.0, 7);
                let (mut queue, mut at, mut alone) = (Queue::default(), 0.0, 0_u64);
                while at < 200.0 {
                    at += step;
                    arrivals.until(at, &mut queue);
                    if let Some(next) = arrivals.next() {
                        (at, alone) = (next, alone + 1);
                    }
                }
                queue.len() + alone
            };
            for step in [0.001, 0.01, 1.0] {
                let (count, again) = (count(step), count(step));
                assert_eq!(count, again);
                assert!(
                    (count as f64 / 1e5 - 1.0).abs() < 0.1,
                    "{pattern:?}: {count} in steps of {step}"
                );
            }
        }
    }
}
