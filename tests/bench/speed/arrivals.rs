//! Things that are done by a schedule, whether or not those before them are through: by threads that take turns, each of which knows
//! what it does next and sleeps until its moment. Nothing stands between a thread and its clock but the kernel.
//!
//! Moments are drawn from a seed, with gaps as of people who know nothing of each other (Poisson). Who is free takes the next one; when
//! nobody is, it is begun late, and that it was is known.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use system_tests::{Failure, Result};

/// What is to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrivals {
    /// In a second.
    pub(crate) rate: u32,
    /// How long they come.
    pub(crate) lasts: Duration,
    pub(crate) seed: u64,
}

/// Who does it, one at a time.
pub(crate) trait Worker: Send {
    type Took: Send;

    /// Makes ready what can be before the moment comes.
    fn ready(&mut self, number: u64);

    /// Does it.
    fn go(&mut self) -> Result<Self::Took>;
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done<T> {
    /// From 1, in the order of the moments.
    pub(crate) number: u64,
    pub(crate) due: Instant,
    pub(crate) begun: Instant,
    pub(crate) returned: Instant,
    pub(crate) took: T,
}

/// The moments, one after the other.
struct Moments {
    random: StdRng,
    rate: u32,
    next: Instant,
    end: Instant,
    number: u64,
}

impl Arrivals {
    /// Has all of them done; blocks until then.
    ///
    /// # Errors
    /// The first one of a worker, when the others are through.
    pub(crate) fn run<W: Worker>(self, begins: Instant, workers: Vec<W>) -> Result<Vec<Done<W::Took>>> {
        let moments = Mutex::new(self.moments(begins));
        thread::scope(|scope| {
            let moments = &moments;
            let work = workers
                .into_iter()
                .map(|worker| scope.spawn(move || work(worker, moments)));
            let work: Vec<_> = work.collect();
            let mut all = Vec::new();
            for thread in work {
                let done = thread.join().map_err(|_| Failure::new("a worker panicked"))?;
                all.extend(done?);
            }
            all.sort_by_key(|done| done.number);
            Ok(all)
        })
    }

    fn moments(self, begins: Instant) -> Moments {
        Moments {
            random: StdRng::seed_from_u64(self.seed),
            rate: self.rate,
            next: begins,
            end: begins + self.lasts,
            number: 0,
        }
    }
}

impl Iterator for Moments {
    type Item = (u64, Instant);

    fn next(&mut self) -> Option<Self::Item> {
        let due = self.next;
        if due >= self.end {
            return None;
        }
        let gap = -(1.0 - self.random.random::<f64>()).ln() / f64::from(self.rate);
        self.next += Duration::from_secs_f64(gap);
        self.number += 1;
        Some((self.number, due))
    }
}

fn work<W: Worker>(mut worker: W, moments: &Mutex<Moments>) -> Result<Vec<Done<W::Took>>> {
    let mut all = Vec::new();
    loop {
        let next = moments
            .lock()
            .map_err(|_| Failure::new("a worker panicked"))?
            .next();
        let Some((number, due)) = next else {
            return Ok(all);
        };
        worker.ready(number);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let begun = Instant::now();
        let took = worker.go()?;
        all.push(Done {
            number,
            due,
            begun,
            returned: Instant::now(),
            took,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Arrivals, Worker};
    use system_tests::Result;

    struct Counter(u64);

    impl Worker for Counter {
        type Took = u64;

        fn ready(&mut self, number: u64) {
            self.0 = number;
        }

        fn go(&mut self) -> Result<u64> {
            Ok(self.0)
        }
    }

    #[test]
    fn each_is_done_once_and_not_before_its_moment() -> Result {
        let arrivals = Arrivals {
            rate: 2_000,
            lasts: Duration::from_millis(50),
            seed: 7,
        };
        let begins = Instant::now();
        let done = arrivals.run(begins, (0..4).map(|_| Counter(0)).collect())?;
        let expected: Vec<(u64, Instant)> = arrivals.moments(begins).collect();
        assert!(expected.len() > 20);
        let seen: Vec<(u64, Instant)> = done.iter().map(|done| (done.took, done.due)).collect();
        assert_eq!(seen, expected);
        assert!(
            done.iter()
                .all(|done| done.begun >= done.due && done.returned >= done.begun)
        );
        Ok(())
    }
}
