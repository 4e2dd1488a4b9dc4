//! Gives up a recovery that was begun and cannot be finished, or is not to be.
//!
//! What it took off streams stays off: that is recorded, and kept whole in the database. What follows is another look, and
//! another choice.

use super::finding::Unfinished;
use super::inspect::Ends;
use super::pg;
use super::plan::abandonable;
use crate::publish::{Error, Kind};

/// Connects for a moment only.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);

/// Gives it up, if `really`; otherwise tells what it is. The sink is not asked.
///
/// # Errors
/// None was begun, its era is open, or it is at work.
pub async fn abandon(ends: &Ends, reason: &str, really: bool) -> Result<Unfinished, Error> {
    let session = ends.session(LIMIT).await?;
    let unfinished = pg::unfinished(&session).await?;
    let unfinished = abandonable(unfinished).map_err(|why| Error::new(Kind::Refused, why))?;
    if !really || pg::abandon(&session, unfinished.number, reason).await? {
        return Ok(unfinished);
    }
    Err(Error::new(
        Kind::Refused,
        format!(
            "recovery {} is at work ({}): end that process and wait until its leases have run out, half a minute at most",
            unfinished.number,
            pg::holders(&session).await?
        ),
    ))
}
