//! Pure: what is due, the earliest first; of two at the same moment the one that was noted first, so that a run can be repeated.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// An event comes to a database that has nothing to do.
    Came(usize),
    /// A database has flushed.
    Flushed(usize),
    /// A relay has cut, committed and read.
    Cut(usize),
    /// The parcel of a stream is at its Redis.
    Sent(usize),
    /// A Redis has done a parcel.
    Served(usize),
    /// A relay has the answer to the parcel of a stream.
    Answered(usize),
    /// The consumer of a stream has committed.
    Applied(usize),
    /// What waits is counted.
    Looked,
}

#[derive(Clone, Copy, Debug)]
struct Due {
    at: f64,
    number: u64,
    what: What,
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.total_cmp(&other.at).then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

/// What is to come.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    dues: BinaryHeap<Reverse<Due>>,
    noted: u64,
}

impl Agenda {
    pub(super) fn note(&mut self, at: f64, what: What) {
        self.noted += 1;
        self.dues.push(Reverse(Due {
            at,
            number: self.noted,
            what,
        }));
    }

    pub(super) fn next(&mut self) -> Option<(f64, What)> {
        self.dues.pop().map(|Reverse(due)| (due.at, due.what))
    }
}
