//! Pure: what is taken for granted, each with its reason, and the defaults that count.

use outbox_relay::config::publish::{DEFAULT_SHARE_BYTES, DEFAULT_SHARE_ROWS};
use outbox_relay::config::tail::DEFAULT_CHUNK_ROWS;

use super::quantity::{Quantity, Source};

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct Assumed {
    /// Of a database's server.
    pub(super) cores: Quantity,
    pub(super) disk: Quantity,
    pub(super) round_trip: Quantity,
    pub(super) parcel: Quantity,
    pub(super) parcel_bytes: Quantity,
    pub(super) event_bytes: Quantity,
    pub(super) read: Quantity,
    pub(super) window: Quantity,
    pub(super) sessions: Quantity,
    pub(super) failover: Quantity,
    pub(super) takeover: Quantity,
}

impl Assumed {
    pub(super) fn new() -> Self {
        let of = |what, unit, value: f64, source| Quantity {
            what,
            unit,
            value,
            source,
        };
        let assumed = Source::Assumed;
        Self {
            cores: of(
                "cores of a database's server",
                "cores",
                8.0,
                assumed(
                    "a usual size; producers' commits are taken to scale with cores up to it, which was not measured here",
                ),
            ),
            disk: of(
                "what a disk takes of WAL",
                "MB/s",
                200.0,
                assumed(
                    "a cloud volume of the usual kind; full pages after a checkpoint are in what was measured only as far as its runs have them",
                ),
            ),
            round_trip: of(
                "from one machine to another and back",
                "ms",
                0.5,
                assumed("within one data centre"),
            ),
            parcel: of(
                "entries of a parcel",
                "events",
                DEFAULT_SHARE_ROWS as f64,
                Source::Code("`publish.share_rows`"),
            ),
            parcel_bytes: of(
                "payload of a parcel",
                "bytes",
                DEFAULT_SHARE_BYTES as f64,
                Source::Code("`publish.share_bytes`"),
            ),
            event_bytes: of(
                "an event in the log and on a stream",
                "bytes",
                500.0,
                assumed("a payload of 200 bytes with its envelope; what waits is told in bytes with it"),
            ),
            read: of(
                "rows that a relay reads at once",
                "events",
                4.0 * DEFAULT_CHUNK_ROWS as f64,
                Source::Code("four reads under way, of `tail.chunk_rows` each"),
            ),
            window: of(
                "events that a consumer of one stream has in hand",
                "events",
                4.0 * outbox_core::consume::DEFAULT_BATCH as f64,
                Source::Code("four transactions of 32"),
            ),
            sessions: of(
                "producers' transactions at a time, in each database",
                "events",
                200.0,
                assumed("a pooler in front of each database"),
            ),
            failover: of(
                "a failover of Redis",
                "s",
                5.0,
                assumed(
                    "a monitor that waits some seconds before it acts; what was lost would be put out again beside it",
                ),
            ),
            takeover: of(
                "a takeover of a relay that was killed",
                "s",
                4.0,
                assumed("its lease, by default; what was measured is above"),
            ),
        }
    }

    pub(super) fn all(&self) -> [&Quantity; 11] {
        [
            &self.cores,
            &self.disk,
            &self.round_trip,
            &self.parcel,
            &self.parcel_bytes,
            &self.event_bytes,
            &self.read,
            &self.window,
            &self.sessions,
            &self.failover,
            &self.takeover,
        ]
    }
}
