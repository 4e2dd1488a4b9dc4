//! Ends a leader, and waits until another one publishes.

use std::sync::PoisonError;

use system_tests::patience::until;
use system_tests::{Failure, Relay, Result, World};
use tokio::time::Instant;

use super::read::{BLOCK, Seen};
use super::{End, LIMIT};

/// A signal, and the leader's epoch then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signal {
    pub(super) end: End,
    pub(super) at: Instant,
    pub(super) epoch: i64,
    /// The other relay had published for a while then.
    pub(super) until: Instant,
}

/// Ends the leader, and waits until what was appended since then came from the other one.
pub(super) async fn strike(world: &World, relays: &mut [Relay; 2], end: End, seen: &Seen) -> Result<Signal> {
    let leader = leader(relays).await?;
    let mut connection = world.connect().await?;
    let epoch: i64 = sqlx::query_scalar("select max(epoch) from outbox.batch")
        .fetch_one(&mut connection)
        .await?;
    let at = Instant::now();
    match end {
        End::Kill => relays[leader].kill()?,
        End::Term => {
            let status = relays[leader].terminate().await?;
            if !status.success() {
                return Err(Failure::new(format!(
                    "the relay ended with {status} after SIGTERM"
                )));
            }
        }
    }
    let leads = until("the other relay leads", LIMIT, async || {
        let number: i64 = sqlx::query_scalar("select max(epoch) from outbox.batch")
            .fetch_one(&mut connection)
            .await?;
        Ok((number > epoch).then(Instant::now))
    })
    .await?;
    // The entries of the first batch may be on their way still.
    until("the other relay publishes", LIMIT, async || {
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let last = seen.last().map(|(_, _, at)| *at);
        Ok(last.filter(|last| *last > leads + BLOCK))
    })
    .await?;
    Ok(Signal {
        end,
        at,
        epoch,
        until: Instant::now(),
    })
}

async fn leader(relays: &[Relay; 2]) -> Result<usize> {
    until("a relay leads", LIMIT, async || {
        for (number, relay) in relays.iter().enumerate() {
            if relay.is_leading().await {
                return Ok(Some(number));
            }
        }
        Ok(None)
    })
    .await
}
