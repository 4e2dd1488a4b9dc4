//! Waiting for what nothing announces: looked at again and again, within a limit, in this one place.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Failure, Result};

const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Looks until it is `Some`, and says what was waited for when it never is.
///
/// # Errors
/// When the limit is over, or a look fails.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        if Instant::now() > deadline {
            return Err(Failure::new(format!("{what}: not within {limit:?}")));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
