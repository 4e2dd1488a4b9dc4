//! The rows of the comparison: what each is, and which way is better.

use crate::report::{Better, Series};
use crate::speed::latency::KEPT;

/// One thing that is measured of every peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Drain,
    Later,
    OfRaw,
    First,
    Alone,
    P50At200,
    P99At200,
    RateAt200,
    KeptAt200,
    P50At1000,
    P99At1000,
    RateAt1000,
    KeptAt1000,
    BelowZero,
    Producers,
    Published,
    Part,
    Left,
    Memory,
    Waiting,
    Lost,
    Phantom,
    Doubled,
    Reordered,
}

impl Row {
    /// In the order of the page.
    pub(crate) const ALL: [Self; 24] = [
        Self::Drain,
        Self::Later,
        Self::OfRaw,
        Self::First,
        Self::Alone,
        Self::P50At200,
        Self::P99At200,
        Self::RateAt200,
        Self::KeptAt200,
        Self::P50At1000,
        Self::P99At1000,
        Self::RateAt1000,
        Self::KeptAt1000,
        Self::BelowZero,
        Self::Producers,
        Self::Published,
        Self::Part,
        Self::Left,
        Self::Memory,
        Self::Waiting,
        Self::Lost,
        Self::Phantom,
        Self::Doubled,
        Self::Reordered,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Drain => "backlog, events/s",
            Self::Later => "backlog without such a start, events/s",
            Self::OfRaw => "backlog, part of raw XADD of its own entries",
            Self::First => "from its start to the first event of a backlog, ms",
            Self::Alone => "from its start to an only event, ms",
            Self::P50At200 => "delay at 200/s, p50, ms",
            Self::P99At200 => "delay at 200/s, p99, ms",
            Self::RateAt200 => "committed at 200/s, events/s",
            Self::KeptAt200 => "the same at 200/s, part of what was to come",
            Self::P50At1000 => "delay at 1,000/s, p50, ms",
            Self::P99At1000 => "delay at 1,000/s, p99, ms",
            Self::RateAt1000 => "committed at 1,000/s, events/s",
            Self::KeptAt1000 => "the same at 1,000/s, part of what was to come",
            Self::BelowZero => "read before the answer to their commit, events",
            Self::Producers => "producers, part of bare inserts",
            Self::Published => "published while producers commit, events/s",
            Self::Part => "published, part of what was committed in that time",
            Self::Left => "left when producers stopped, events",
            Self::Memory => "memory at most, MiB",
            Self::Waiting => "killed: events that waited, at the kill with the fewest",
            Self::Lost => "killed: lost",
            Self::Phantom => "killed: never committed",
            Self::Doubled => "killed: doubled",
            Self::Reordered => "killed: turned around within a key",
        }
    }

    /// Without values.
    pub(crate) fn series(self) -> Series {
        match self {
            Self::Drain | Self::Later | Self::Published | Self::RateAt200 | Self::RateAt1000 => {
                Series::rate()
            }
            Self::OfRaw | Self::Producers | Self::Part | Self::KeptAt200 | Self::KeptAt1000 => {
                Series::new("ratio", Better::Higher)
            }
            Self::First
            | Self::Alone
            | Self::P50At200
            | Self::P99At200
            | Self::P50At1000
            | Self::P99At1000 => Series::delay(),
            Self::Memory => Series::new("MiB", Better::Lower),
            Self::Waiting => Series::new("events", Better::Higher),
            Self::Left | Self::BelowZero | Self::Lost | Self::Phantom | Self::Doubled | Self::Reordered => {
                Series::new("events", Better::Lower)
            }
        }
    }

    /// What a kill did: none is wanted, and a ratio says nothing.
    pub(crate) fn is_of_kills(self) -> bool {
        matches!(self, Self::Lost | Self::Phantom | Self::Doubled | Self::Reordered)
    }

    /// What another row was measured under: nobody is better by it.
    pub(crate) fn is_circumstance(self) -> bool {
        matches!(
            self,
            Self::Waiting
                | Self::RateAt200
                | Self::KeptAt200
                | Self::RateAt1000
                | Self::KeptAt1000
                | Self::BelowZero
                | Self::Part
                | Self::Left
        )
    }

    /// Floor and aim that ours has by itself: without them the rows that were measured meanwhile would say nothing.
    pub(crate) fn by_itself(self) -> Option<(f64, f64)> {
        match self {
            Self::KeptAt200 | Self::KeptAt1000 => Some(KEPT),
            Self::Part => Some((0.95, 0.99)),
            _ => None,
        }
    }

    /// Whose backlog must be as large as ours to be compared with it.
    pub(crate) fn is_of_backlog(self) -> bool {
        matches!(self, Self::Drain | Self::Later)
    }
}
