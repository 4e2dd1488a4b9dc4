//! Reading one's own writes: waiting until a subscription has them behind it.

use std::time::Duration;

use tokio::time::Instant;

use super::Error;
use super::pg::{PgPool, Reached, reached};

const LOOK_FIRST: Duration = Duration::from_millis(5);
const LOOK_LAST: Duration = Duration::from_millis(100);

/// What is waited for.
#[derive(Clone, Debug, Default)]
pub struct WaitFor {
    transaction: Option<u64>,
    positions: Vec<i64>,
}

/// What came of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the time may have run out"]
pub enum Waited {
    /// The effect of these events is committed.
    Applied,
    /// The time ran out. The subscription is behind, paused or not running; or the events were never committed, or have been truncated or
    /// buried since.
    TimedOut,
    /// An event of them, or one before it in its stream, failed for good and waits for a person.
    Parked,
}

impl WaitFor {
    /// The stored events of a transaction: of which `pg_current_xact_id()` was this. One that was rolled back has none.
    #[must_use]
    pub fn transaction(id: u64) -> Self {
        Self {
            transaction: Some(id),
            positions: Vec::new(),
        }
    }

    /// The events at these positions, as the append told them.
    #[must_use]
    pub fn positions(positions: impl Into<Vec<i64>>) -> Self {
        Self {
            transaction: None,
            positions: positions.into(),
        }
    }
}

/// Waits until a subscription, or the live generation of a projection, has applied something; see [`Waited`].
///
/// # Errors
/// When the database cannot be asked, or there is no such subscription.
pub async fn wait_for(
    pool: &PgPool,
    subscription: &str,
    wanted: &WaitFor,
    limit: Duration,
) -> Result<Waited, Error> {
    let deadline = Instant::now() + limit;
    let mut pause = LOOK_FIRST;
    loop {
        match reached(pool, subscription, wanted.transaction, &wanted.positions).await? {
            Reached::Done => return Ok(Waited::Applied),
            Reached::Parked => return Ok(Waited::Parked),
            Reached::Pending | Reached::Unseen => {}
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Waited::TimedOut);
        }
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 2).min(LOOK_LAST);
    }
}
