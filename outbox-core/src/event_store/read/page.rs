//! Pure: how much is read at once.

/// How much one page may hold. A page has one event at least, however large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimits {
    /// Events.
    pub events_max: u32,
    /// Bytes of their payloads, each with 512 for the rest of it.
    pub bytes_max: u32,
}

impl Default for PageLimits {
    /// 1,000 events, 4 MiB.
    fn default() -> Self {
        Self {
            events_max: 1_000,
            bytes_max: 4 * 1024 * 1024,
        }
    }
}

impl PageLimits {
    pub(in crate::event_store) fn events(self) -> i64 {
        i64::from(self.events_max.max(1))
    }

    pub(in crate::event_store) fn bytes(self) -> i64 {
        i64::from(self.bytes_max.max(1))
    }
}
