//! What is measured: the same rows by the store and without it.

use std::fmt;

use system_tests::Result;

use super::append::Append;
use super::ground::Ground;
use super::load;
use super::project;
use super::rebuild;

/// One thing that is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Case {
    /// Transactions that append.
    Append(Append),
    /// Reads of a stream of a thousand events, whole.
    Load { times: usize },
    /// A subscription that is new, and reads this many events, one row each.
    Project { events: u32 },
    /// A projection of this many events, one row each, that is built anew beside the live one and takes its place.
    Rebuild { events: u32 },
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append(append) => append.fmt(f),
            Self::Load { .. } => f.write_str("loads of a stream of 1,000 events"),
            Self::Project { .. } => f.write_str("events projected by a new subscription, a row each"),
            Self::Rebuild { .. } => f.write_str("events of a projection built anew, a row each"),
        }
    }
}

impl Case {
    /// A fifth as large where it is quick.
    pub(crate) fn all(is_quick: bool) -> Vec<Self> {
        let part = if is_quick { 5 } else { 1 };
        let append = |transactions: usize, events, connections, one_stream| {
            Self::Append(Append {
                transactions: transactions / part,
                events,
                connections,
                one_stream,
            })
        };
        vec![
            append(1_500, 1, 1, true),
            append(1_500, 1, 1, false),
            append(6_000, 1, 16, false),
            append(200, 100, 1, true),
            Self::Load { times: 100 / part },
            Self::Project {
                events: if is_quick { 2_000 } else { 10_000 },
            },
            Self::Rebuild {
                events: if is_quick { 2_000 } else { 10_000 },
            },
        ]
    }

    /// Floor and aim of the ratio.
    pub(crate) fn must_reach(&self) -> (f64, f64) {
        match self {
            Self::Append(_) | Self::Load { .. } => (0.7, 0.85),
            Self::Project { .. } | Self::Rebuild { .. } => (0.5, 0.85),
        }
    }

    /// How many operations, and how long they took.
    pub(crate) async fn ours(&self, ground: &mut Ground) -> Result<(usize, f64)> {
        match *self {
            Self::Append(append) => append.ours(ground).await,
            Self::Load { times } => load::ours(ground, times).await,
            Self::Project { events } => project::ours(ground, events).await,
            Self::Rebuild { events } => rebuild::ours(ground, events).await,
        }
    }

    /// The same without a store.
    pub(crate) async fn raw(&self, ground: &mut Ground) -> Result<(usize, f64)> {
        match *self {
            Self::Append(append) => append.raw(ground).await,
            Self::Load { times } => load::raw(ground, times).await,
            Self::Project { events } | Self::Rebuild { events } => project::raw(ground, events).await,
        }
    }
}
