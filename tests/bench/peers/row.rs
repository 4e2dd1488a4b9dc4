//! The rows of the comparison: what each is, which way is better, and why ours may be behind.

use crate::report::{Better, Series};

/// One thing that is measured of every peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Drain,
    OfRaw,
    First,
    P50At200,
    P99At200,
    P50At1000,
    P99At1000,
    Producers,
    Memory,
    Lost,
    Doubled,
    Reordered,
}

impl Row {
    /// In the order of the page.
    pub(crate) const ALL: [Self; 12] = [
        Self::Drain,
        Self::OfRaw,
        Self::First,
        Self::P50At200,
        Self::P99At200,
        Self::P50At1000,
        Self::P99At1000,
        Self::Producers,
        Self::Memory,
        Self::Lost,
        Self::Doubled,
        Self::Reordered,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Drain => "backlog, events/s",
            Self::OfRaw => "backlog, part of raw XADD of its own entries",
            Self::First => "from its start to its first event, ms",
            Self::P50At200 => "delay at 200/s, p50, ms",
            Self::P99At200 => "delay at 200/s, p99, ms",
            Self::P50At1000 => "delay at 1,000/s, p50, ms",
            Self::P99At1000 => "delay at 1,000/s, p99, ms",
            Self::Producers => "producers, part of bare inserts",
            Self::Memory => "memory at most, MiB",
            Self::Lost => "killed: lost",
            Self::Doubled => "killed: doubled",
            Self::Reordered => "killed: turned around within a key",
        }
    }

    /// Without values.
    pub(crate) fn series(self) -> Series {
        match self {
            Self::Drain => Series::rate(),
            Self::OfRaw | Self::Producers => Series::new("ratio", Better::Higher),
            Self::First | Self::P50At200 | Self::P99At200 | Self::P50At1000 | Self::P99At1000 => {
                Series::new("ms", Better::Lower)
            }
            Self::Memory => Series::new("MiB", Better::Lower),
            Self::Lost | Self::Doubled | Self::Reordered => Series::new("events", Better::Lower),
        }
    }

    /// What a kill did: none is wanted, and a ratio says nothing.
    pub(crate) fn is_of_kills(self) -> bool {
        matches!(self, Self::Lost | Self::Doubled | Self::Reordered)
    }

    /// What ours does more than who is better here.
    pub(crate) fn why_behind(self) -> &'static str {
        match self {
            Self::Drain | Self::OfRaw => {
                "ours commits what a batch is before it publishes any of it, and sends each share in a MULTI that first asks for its predecessor"
            }
            Self::First => {
                "after its start ours takes the lease, compares the mark at Redis with its ledger, and counts the whole backlog once, as its first batch"
            }
            Self::P50At200 | Self::P99At200 | Self::P50At1000 | Self::P99At1000 => {
                "ours commits what a batch is before it publishes it, one write to disk more than who publishes within an open transaction and \
                 publishes again after a crash"
            }
            Self::Producers => {
                "the call checks names, sizes and settings and asks whether a relay sleeps; the other is a bare insert into a table without a trigger"
            }
            Self::Memory => {
                "ours has its leases, readiness, metrics and the pages of several streams in memory; the other is one loop"
            }
            Self::Lost | Self::Doubled | Self::Reordered => {
                "there is no reason for this: it is a fault of ours"
            }
        }
    }
}
