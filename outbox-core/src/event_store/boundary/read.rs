//! Pure: a read of the events of a condition.

use super::condition::Condition;
use crate::event_store::{Cursor, PageLimits};

/// What to read, and from where.
#[derive(Clone, Debug)]
#[must_use = "it says what to read, and reads nothing"]
pub struct TaggedRead {
    pub(super) condition: Condition,
    pub(super) cursor: Option<Cursor>,
    pub(super) limits: PageLimits,
}

impl TaggedRead {
    /// All events of a condition, in order of position.
    pub fn of(condition: &Condition) -> Self {
        Self {
            condition: condition.clone(),
            cursor: None,
            limits: PageLimits::default(),
        }
    }

    /// From where another page, or another read of the same condition, was.
    pub fn behind(mut self, cursor: Cursor) -> Self {
        self.cursor = Some(cursor);
        self
    }

    /// How much is read at once; of events at most 10,000.
    pub fn limits(mut self, limits: PageLimits) -> Self {
        self.limits = limits;
        self
    }
}
