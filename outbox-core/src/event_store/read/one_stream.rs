//! Pure: what is read of one stream: forward or backward, from a version, up to a time.

use time::OffsetDateTime;

use super::page::PageLimits;
use crate::event_store::{StoredEvent, StreamName};

/// Which way a stream is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// From the oldest event on.
    #[default]
    Forward,
    /// From the newest event on.
    Backward,
}

/// What is read of a stream.
#[derive(Clone, Debug)]
#[must_use = "it says what to read, and reads nothing"]
pub struct StreamRead {
    pub(super) stream: StreamName,
    pub(super) direction: Direction,
    pub(super) from: Option<u64>,
    pub(super) until: Option<OffsetDateTime>,
    pub(super) limits: PageLimits,
}

impl StreamRead {
    /// All of a stream, forward.
    pub fn of(stream: &StreamName) -> Self {
        Self {
            stream: stream.clone(),
            direction: Direction::Forward,
            from: None,
            until: None,
            limits: PageLimits::default(),
        }
    }

    /// From the newest event on.
    pub fn backward(mut self) -> Self {
        self.direction = Direction::Backward;
        self
    }

    /// From this version on, itself included, in the direction of the read.
    pub fn from_version(mut self, version: u64) -> Self {
        self.from = Some(version);
        self
    }

    /// Only what was recorded at this time at the latest: the stream as it was then.
    pub fn until(mut self, time: OffsetDateTime) -> Self {
        self.until = Some(time);
        self
    }

    /// How much is read at once.
    pub fn limits(mut self, limits: PageLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Leaves of a page what was recorded in time. True: what follows was not, either.
    pub(super) fn keep(&self, page: &mut Vec<StoredEvent>) -> bool {
        let Some(until) = self.until else { return false };
        let read = page.len();
        page.retain(|event| event.recorded_at <= until);
        self.direction == Direction::Forward && page.len() < read
    }

    /// The version that the first page is read behind, in the direction of the read.
    pub(super) fn behind(&self) -> i64 {
        let told = |version: u64| i64::try_from(version).unwrap_or(i64::MAX);
        match (self.direction, self.from) {
            (Direction::Forward, None) => 0,
            (Direction::Forward, Some(version)) => told(version.saturating_sub(1)),
            (Direction::Backward, None) => i64::MAX,
            (Direction::Backward, Some(version)) => told(version.saturating_add(1)),
        }
    }
}
