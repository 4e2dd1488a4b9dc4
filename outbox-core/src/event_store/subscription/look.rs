//! Pure: how many rows are looked at for a page, and whether by category.

use super::checkpoint::Bounds;
use super::definition::Subscription;

/// Rows looked at for each event of a page, where others may lie between those that are wanted.
const SCANNED_PER_EVENT: i64 = 10;

/// How a page is looked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// By the index of each category, and not through all positions: where more lies ahead than one page may look at.
    pub(super) is_by_category: bool,
    /// Rows looked at.
    pub(super) rows_max: i64,
    /// Events returned.
    pub(super) events_max: i64,
}

impl Look {
    /// For a page of at most so many events between these bounds.
    pub(super) fn of(subscription: &Subscription, bounds: &Bounds, at_most: u32) -> Self {
        let page = subscription.limits.events_max.max(1);
        let events_max = i64::from(at_most.clamp(1, page));
        let rows_max = i64::from(page) * SCANNED_PER_EVENT;
        let ahead = bounds.through.saturating_sub(bounds.after.max(bounds.floor));
        let is_by_category = subscription.categories.is_some() && ahead > rows_max;
        // Then one more than the page tells that there is more.
        let is_all_wanted = subscription.types.is_none()
            && subscription.partitions == 1
            && (is_by_category || subscription.categories.is_none());
        Self {
            is_by_category,
            rows_max: if is_all_wanted { events_max + 1 } else { rows_max },
            events_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_store::PageLimits;

    fn look(subscription: Subscription, after: i64, at_most: u32) -> (bool, i64, i64) {
        let subscription = subscription.limits(PageLimits {
            events_max: 5,
            ..PageLimits::default()
        });
        let bounds = Bounds {
            floor: 10,
            beyond: i64::MAX,
            after,
            through: 100,
        };
        let look = Look::of(&subscription, &bounds, at_most);
        (look.is_by_category, look.rows_max, look.events_max)
    }

    #[test]
    fn few_categories_are_looked_for_by_index_while_much_lies_ahead() {
        let few = || Subscription::new("a").categories(["x"]);
        assert_eq!(look(few(), 0, u32::MAX), (true, 6, 5));
        assert_eq!(look(few(), 49, u32::MAX), (true, 6, 5));
        // A page may look at all of it.
        assert_eq!(look(few(), 50, u32::MAX), (false, 50, 5));
        assert_eq!(look(few().types(["t"]), 0, u32::MAX), (true, 50, 5));
        assert_eq!(look(few().partitions(2), 0, u32::MAX), (true, 50, 5));
    }

    #[test]
    fn where_everything_is_wanted_no_more_is_looked_at_than_a_page_has() {
        assert_eq!(look(Subscription::new("a"), 0, u32::MAX), (false, 6, 5));
        assert_eq!(look(Subscription::new("a"), 0, 1), (false, 2, 1));
        assert_eq!(look(Subscription::new("a").types(["t"]), 0, 1), (false, 50, 1));
        assert_eq!(look(Subscription::new("a").partitions(2), 99, 0), (false, 50, 1));
    }
}
