//! Pure: how long a process may believe that it leads.
//!
//! The database decides who leads, on its own clock. A process trusts a grant from the moment it *asked*, not from the
//! answer, for a time shorter than the grant: so it steps down by itself before anyone else can be let in, provided that
//! its clock does not run slower than the database's by more than the margin. A process that is stopped and continued
//! can still act in its old belief for one step; the protocol of publishing is built so that this adds nothing.

use std::time::{Duration, Instant};

/// The rights that the leader holds: one to cut batches, one to publish.
pub const NAMES: [&str; 2] = ["publish", "tail"];

/// A granted lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Rises with every change of hands; recorded with what the leader writes.
    pub epoch: i64,
    /// Until when the process believes it.
    pub trusted_until: Instant,
}

impl Lease {
    /// A grant of `ttl` that was asked for at `asked`: trusted for nine tenths of it.
    #[must_use]
    pub fn granted(epoch: i64, asked: Instant, ttl: Duration) -> Self {
        Self {
            epoch,
            trusted_until: asked + ttl * 9 / 10,
        }
    }

    /// Whether the process may still act as the leader.
    #[must_use]
    pub fn is_trusted(&self, now: Instant) -> bool {
        now < self.trusted_until
    }
}

/// How often to renew a lease of this length: four times, so that a slow answer does not cost the lead. A renewal that fails
/// does: its connection is gone, and whether the lease still holds is for the database to say.
#[must_use]
pub fn renew_every(ttl: Duration) -> Duration {
    ttl / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_down_before_the_database_lets_another_in() {
        let asked = Instant::now();
        let lease = Lease::granted(3, asked, Duration::from_secs(4));
        assert!(lease.is_trusted(asked + Duration::from_millis(3_599)));
        assert!(!lease.is_trusted(asked + Duration::from_millis(3_600)));
        assert!(renew_every(Duration::from_secs(4)) * 3 < Duration::from_millis(3_600));
    }
}
