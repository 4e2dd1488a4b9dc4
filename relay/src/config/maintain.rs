//! Upkeep of the log's pieces by the leader.

use std::time::Duration;

use super::kind::{Span, Switch};
use super::section::section;

/// Often enough that pieces are ahead of any rate of appends, seldom enough to be free.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

section! {
    /// Upkeep of the log's pieces: making them ahead, dropping those that every stream has passed. The leader does it.
    Maintain = "maintain" {
        /// Whether this relay may do it. Needs membership in `outbox_maintainer`; without upkeep nothing is lost and no append waits, but space does not come back.
        enabled: bool = true, Switch;
        /// How often the pieces are looked at; ten times less often while nothing was cut since a look that found nothing to do.
        interval: Duration = DEFAULT_INTERVAL, Span(Duration::from_secs(1), Duration::from_secs(86_400));
    }
}
