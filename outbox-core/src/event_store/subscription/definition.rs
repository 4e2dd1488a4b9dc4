//! Pure: what a subscription reads, and how it is run.

use std::time::Duration;

use crate::event_store::PageLimits;

/// No subscription has more partitions: each has a lease and a checkpoint of its own.
const PARTITIONS_MAX: u16 = 256;
/// Events that one transaction applies: half of what a read has, since it holds up its stream's retries and a switch meanwhile.
const PAGE_EVENTS: u32 = 500;
/// A process that is not seen for shorter is not taken for dead.
const LEASE_MIN: Duration = Duration::from_secs(2);

/// Attempts at an event, and the pauses between them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// How often an event is tried before its stream waits for a person.
    pub attempts: u32,
    /// The longest pause after the first failure; it doubles with each further one. How long it really is, is drawn at random.
    pub pause_min: Duration,
    /// The longest pause of all.
    pub pause_max: Duration,
}

impl Default for Retry {
    /// Three attempts, the second within 5 s.
    fn default() -> Self {
        Self {
            attempts: 3,
            pause_min: Duration::from_secs(5),
            pause_max: Duration::from_mins(5),
        }
    }
}

impl Retry {
    /// How long to wait after the `attempts`th failure; none: for a person. `chance` is of 0 to 1.
    pub(super) fn after(&self, attempts: u32, chance: f64) -> Option<Duration> {
        if attempts >= self.attempts.max(1) {
            return None;
        }
        let doubled = self
            .pause_min
            .saturating_mul(1_u32 << attempts.saturating_sub(1).min(20));
        // From half of it on: who failed together does not come together again.
        Some(
            doubled
                .min(self.pause_max)
                .mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0),
        )
    }
}

/// What a subscription reads, and how it is run. What it reads is stored when it is run first, and does not change afterwards.
#[derive(Clone, Debug)]
#[must_use = "it says what to read, and reads nothing"]
pub struct Subscription {
    pub(super) name: String,
    pub(super) generation: i32,
    pub(super) partitions: u16,
    pub(super) categories: Option<Vec<String>>,
    pub(super) types: Option<Vec<String>>,
    pub(super) is_projection: bool,
    pub(super) is_from_now: bool,
    pub(super) limits: PageLimits,
    pub(super) retry: Retry,
    pub(super) lease: Duration,
    pub(super) poll: Duration,
    pub(super) handler_limit: Duration,
    pub(super) retrying_max: u32,
}

impl Subscription {
    /// All stored events, under this name: up to 100 of `a-z 0-9 . _ -`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            generation: 1,
            partitions: 1,
            categories: None,
            types: None,
            is_projection: false,
            is_from_now: false,
            limits: PageLimits {
                events_max: PAGE_EVENTS,
                ..PageLimits::default()
            },
            retry: Retry::default(),
            lease: Duration::from_secs(15),
            poll: Duration::from_secs(1),
            handler_limit: Duration::from_secs(30),
            retrying_max: 1_000,
        }
    }

    /// Only streams of these categories.
    pub fn categories<T: Into<String>>(mut self, categories: impl IntoIterator<Item = T>) -> Self {
        self.categories = Some(sorted(categories));
        self
    }

    /// Only events of these types.
    pub fn types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.types = Some(sorted(types));
        self
    }

    /// Only what is committed after it was run first, or is being committed then; not from the oldest event on. It matters when the subscription
    /// is run first, and no more afterwards. Not for projections, which are made of all events.
    pub fn from_now(mut self) -> Self {
        self.is_from_now = true;
        self
    }

    /// How many processes can share it; default 1. The events of a stream stay together.
    pub fn partitions(mut self, partitions: u16) -> Self {
        self.partitions = partitions;
        self
    }

    /// How much one transaction applies; 500 events, 4 MiB if nothing is said.
    pub fn limits(mut self, limits: PageLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Attempts at an event, and the pauses between them.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// How long the partitions of a process that died stay with it; default 15 s. Of one that vanished with its connection open (its host lost
    /// power, its network is gone) that is in the middle of a handler: for `handler_limit`, where that is longer.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How long an event waits at most that nobody told of: no relay is there, or a notification was lost. Default 1 s.
    pub fn poll(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }

    /// How long a handler may take for one event; default 30 s. Then it is a failed attempt. Where it is longer than the lease, a process that
    /// is stopped in the middle of a handler, and not killed, keeps its partition for so long.
    pub fn handler_limit(mut self, limit: Duration) -> Self {
        self.handler_limit = limit;
        self
    }

    /// How many streams of a partition may wait for their next attempt before nothing more is begun there; default 1,000. Streams that wait for
    /// a person do not count.
    pub fn retrying_max(mut self, streams: u32) -> Self {
        self.retrying_max = streams;
        self
    }

    /// The next one of this name, of a projection: its handler finds the tables of its generation.
    pub(in crate::event_store) fn of_generation(mut self, generation: i32) -> Self {
        self.generation = generation;
        self.is_projection = true;
        self
    }

    pub(in crate::event_store) fn name(&self) -> &str {
        &self.name
    }

    pub(in crate::event_store) fn wants_category(&self, category: &str) -> bool {
        let wanted = |categories: &Vec<String>| categories.iter().any(|wanted| wanted == category);
        self.categories.as_ref().is_none_or(wanted)
    }

    pub(in crate::event_store) fn wants_type(&self, name: &str) -> bool {
        let wanted = |types: &Vec<String>| types.iter().any(|wanted| wanted == name);
        self.types.as_ref().is_none_or(wanted)
    }

    /// What is wrong with it, each a sentence.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let is_name = (1..=100).contains(&self.name.len())
            && self
                .name
                .starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && self
                .name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte));
        if !is_name {
            problems
                .push("name: must be 1 to 100 of a-z 0-9 . _ - and begin with a letter or digit".to_owned());
        }
        if !(1..=PARTITIONS_MAX).contains(&self.partitions) {
            problems.push(format!(
                "partitions: must be 1 to {PARTITIONS_MAX}, got {}",
                self.partitions
            ));
        }
        if self.is_from_now && self.is_projection {
            problems.push("from_now: a projection is made of all events".to_owned());
        }
        if self.lease < LEASE_MIN {
            problems.push(format!(
                "lease: must be {LEASE_MIN:?} at least, got {:?}",
                self.lease
            ));
        }
        if self.categories.as_ref().is_some_and(Vec::is_empty)
            || self.types.as_ref().is_some_and(Vec::is_empty)
        {
            problems
                .push("categories, types: an empty list reads nothing; leave it out to read all".to_owned());
        }
        problems
    }
}

fn sorted<T: Into<String>>(words: impl IntoIterator<Item = T>) -> Vec<String> {
    let mut words: Vec<String> = words.into_iter().map(Into::into).collect();
    words.sort();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_then_a_person_decides() {
        let retry = Retry {
            attempts: 4,
            pause_min: Duration::from_secs(1),
            pause_max: Duration::from_secs(3),
        };
        assert_eq!(retry.after(1, 1.0), Some(Duration::from_secs(1)));
        assert_eq!(retry.after(2, 0.0), Some(Duration::from_secs(1)));
        assert_eq!(retry.after(3, 1.0), Some(Duration::from_secs(3)));
        assert_eq!(retry.after(4, 1.0), None);
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let wrong = Subscription::new("Points")
            .partitions(0)
            .types(Vec::<String>::new());
        assert_eq!(wrong.problems().len(), 3);
        let projection = Subscription::new("points").from_now().of_generation(1);
        assert_eq!(projection.problems().len(), 1);
        assert_eq!(
            Subscription::new("loyalty.points").problems(),
            Vec::<String>::new()
        );
    }
}
