//! Pure: what is read across streams.

use time::OffsetDateTime;

use crate::event_store::read::page::PageLimits;
use crate::event_store::{Cursor, Direction};

/// What to read across streams, and from where.
#[derive(Clone, Debug, Default)]
#[must_use = "it says what to read, and reads nothing"]
pub struct EventRead {
    pub(super) cursor: Option<Cursor>,
    pub(super) categories: Option<Vec<String>>,
    pub(super) types: Option<Vec<String>>,
    pub(super) direction: Direction,
    pub(super) until: Option<OffsetDateTime>,
    pub(super) above: Option<i64>,
    pub(super) limits: PageLimits,
}

impl EventRead {
    /// All events of all streams, from the oldest on.
    pub fn all() -> Self {
        Self::default()
    }

    /// Those of one category.
    pub fn of_category(category: impl Into<String>) -> Self {
        Self::all().categories([category])
    }

    /// Only those of these categories, 1 to 100.
    pub fn categories<C: Into<String>>(mut self, categories: impl IntoIterator<Item = C>) -> Self {
        self.categories = Some(categories.into_iter().map(Into::into).collect());
        self
    }

    /// Only those of these types, 1 to 1,000. They are looked for among all of the categories: no index has them.
    pub fn types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.types = Some(types.into_iter().map(Into::into).collect());
        self
    }

    /// From the newest event on.
    pub fn backward(mut self) -> Self {
        self.direction = Direction::Backward;
        self
    }

    /// Only what was recorded at this time at the latest. Its cursor goes with this time, and is for no other read.
    pub fn until(mut self, time: OffsetDateTime) -> Self {
        self.until = Some(time);
        self
    }

    /// Only what lies above a position. Late commits below it do not come either: to follow, go on from a cursor.
    pub fn above_position(mut self, position: i64) -> Self {
        self.above = Some(position);
        self
    }

    /// From where another page, or another read of the same categories and types, was.
    pub fn behind(mut self, cursor: Cursor) -> Self {
        self.cursor = Some(cursor);
        self.above = None;
        self
    }

    /// How much is read at once; of events at most 10,000.
    pub fn limits(mut self, limits: PageLimits) -> Self {
        self.limits = limits;
        self
    }
}
