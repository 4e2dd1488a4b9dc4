//! How much one event and one call may hold.

/// No setting lifts a payload above this: `outbox.settings` has a check constraint.
pub const PAYLOAD_BYTES_HARD_MAX: usize = 16 * 1024 * 1024;

/// How much one event and one call may hold, checked before anything is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one payload. Keep it equal to `outbox.settings.payload_limit_bytes`, which the database checks: where
    /// this is larger, a payload in between is refused by the database and costs you the transaction.
    pub payload_bytes_max: usize,
    /// Events of one call. Above it, make several calls in the same transaction.
    pub events_max: usize,
    /// Bytes of all payloads of one call: they are in memory twice, here and in the server.
    pub call_bytes_max: usize,
}

impl Default for Limits {
    /// 256 KiB a payload as the database has by default, 10,000 events and 32 MiB a call.
    fn default() -> Self {
        Self {
            payload_bytes_max: 256 * 1024,
            events_max: 10_000,
            call_bytes_max: 32 * 1024 * 1024,
        }
    }
}

impl Limits {
    /// The bound of one payload, never above the hard one.
    pub(super) fn payload_bytes(&self) -> usize {
        self.payload_bytes_max.min(PAYLOAD_BYTES_HARD_MAX)
    }
}
