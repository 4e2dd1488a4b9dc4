//! Pure: how long a process may believe that it leads.
//!
//! The database decides who leads, on its own clock. A process trusts a grant from the moment it *asked*, not from the
//! answer, for a time shorter than the grant: so it steps down by itself before anyone else can be let in, provided that
//! its clock does not run slower than the database's by more than the margin. A process that is stopped and continued
//! can still act in its old belief for one step; the protocol of publishing is built so that this adds nothing.

use std::time::{Duration, Instant};

/// The rights that the leader holds: one to cut batches, one to publish.
pub const NAMES: [&str; 2] = ["publish", "tail"];

/// The longest between two renewals, however long the lease is: the server ends a session that is silent for a minute, and who was
/// not seen for half a minute counts as gone.
const LONGEST: Duration = Duration::from_secs(15);
/// What is left of the time in which the lease is trusted, at least, when a leader asks to renew it that has nothing to do: its answer
/// may take that long.
const ROOM: Duration = Duration::from_millis(1_600);

/// What the database said when the lease was granted, so that nobody has to ask for it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// When it was asked: what happened since may not be in it.
    pub asked: Instant,
    /// Number of the last batch.
    pub ledger_end: i64,
    /// Whether a person's order to put something out again waits.
    pub orders_wait: bool,
}

/// A granted lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Rises with every change of hands; recorded with what the leader writes.
    pub epoch: i64,
    /// Until when the process believes it.
    pub trusted_until: Instant,
    /// What came with it.
    pub news: News,
}

impl Lease {
    /// A grant of `ttl`, trusted for nine tenths of it from the moment on at which it was asked for.
    #[must_use]
    pub fn granted(epoch: i64, news: News, ttl: Duration) -> Self {
        Self {
            epoch,
            trusted_until: news.asked + trust(ttl),
            news,
        }
    }

    /// Whether the process may still act as the leader.
    #[must_use]
    pub fn is_trusted(&self, now: Instant) -> bool {
        now < self.trusted_until
    }
}

fn trust(ttl: Duration) -> Duration {
    ttl * 9 / 10
}

/// How long to wait with the next renewal of a lease of this length: a quarter of it, so that a slow answer does not cost the lead. A
/// leader that has nothing to do waits up to half of it: neither it nor the database is busy, and little is lost with the lead. A
/// renewal that fails costs it: its connection is gone, and whether the lease still holds is for the database to say.
#[must_use]
pub fn renew_after(ttl: Duration, is_idle: bool) -> Duration {
    let (quarter, half) = (ttl / 4, ttl / 2);
    let pause = if is_idle {
        trust(ttl).saturating_sub(ROOM).clamp(quarter, half)
    } else {
        quarter
    };
    pause.min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_down_before_the_database_lets_another_in() {
        let asked = Instant::now();
        let news = News {
            asked,
            ledger_end: 7,
            orders_wait: false,
        };
        let lease = Lease::granted(3, news, Duration::from_secs(4));
        assert!(lease.is_trusted(asked + Duration::from_millis(3_599)));
        assert!(!lease.is_trusted(asked + Duration::from_millis(3_600)));
    }

    #[test]
    fn renews_in_time_busy_or_idle_however_long_the_lease_is() {
        for seconds in [1, 2, 4, 10, 120, 300] {
            let ttl = Duration::from_secs(seconds);
            let (busy, idle) = (renew_after(ttl, false), renew_after(ttl, true));
            assert!(busy * 3 < trust(ttl), "three times in a lease of {ttl:?}");
            assert!(busy <= idle && idle <= ttl / 2 && idle <= LONGEST, "{ttl:?}");
            assert!(idle == busy || idle + ROOM <= trust(ttl), "{ttl:?}");
        }
        assert_eq!(renew_after(Duration::from_secs(4), true), Duration::from_secs(2));
    }
}
