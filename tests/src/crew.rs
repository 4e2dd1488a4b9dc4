//! Several relays of one world: one leads, the others stand by.

use std::time::Duration;

use crate::patience::until;
use crate::relay::RelayOptions;
use crate::{Relay, Result};

/// A lease, a renewal that was just before it, and a machine with other things to do.
const TAKEOVER_LIMIT: Duration = Duration::from_secs(120);

/// Relays started alike, or each in its own way.
#[derive(Debug)]
pub struct Crew {
    options: Vec<RelayOptions>,
    relays: Vec<Relay>,
}

impl Crew {
    /// Starts so many and waits until one leads and all are ready.
    ///
    /// # Errors
    /// When that does not come about.
    pub async fn start(options: RelayOptions, count: usize) -> Result<Self> {
        Self::of(vec![options; count]).await
    }

    /// Starts one of each and waits until one leads and all are ready.
    ///
    /// # Errors
    /// When that does not come about.
    pub async fn of(options: Vec<RelayOptions>) -> Result<Self> {
        let relays = options
            .iter()
            .map(RelayOptions::start)
            .collect::<Result<Vec<_>>>()?;
        let mut crew = Self { options, relays };
        for relay in &mut crew.relays {
            relay.ready().await?;
        }
        crew.leader().await?;
        Ok(crew)
    }

    /// Waits until one leads; returns its number.
    ///
    /// # Errors
    /// When none does within the limit.
    pub async fn leader(&mut self) -> Result<usize> {
        let relays = &self.relays;
        until("a relay leads", TAKEOVER_LIMIT, async || {
            for (number, relay) in relays.iter().enumerate() {
                if relay.is_leading().await {
                    return Ok(Some(number));
                }
            }
            Ok(None)
        })
        .await
    }

    /// Waits until one other than `former` leads; returns its number.
    ///
    /// # Errors
    /// When none does within the limit.
    pub async fn leader_other_than(&mut self, former: &[usize]) -> Result<usize> {
        let relays = &self.relays;
        until("another relay leads", TAKEOVER_LIMIT, async || {
            for (number, relay) in relays
                .iter()
                .enumerate()
                .filter(|(number, _)| !former.contains(number))
            {
                if relay.is_leading().await {
                    return Ok(Some(number));
                }
            }
            Ok(None)
        })
        .await
    }

    /// One of them.
    pub fn relay(&mut self, number: usize) -> &mut Relay {
        &mut self.relays[number]
    }

    /// SIGKILL, and a new one in its place.
    ///
    /// # Errors
    /// When the new one cannot be started.
    pub fn replace(&mut self, number: usize) -> Result {
        self.relays[number].kill()?;
        self.relays[number] = self.options[number].start()?;
        Ok(())
    }

    /// SIGTERM to all; each must end with success.
    ///
    /// # Errors
    /// When one does not.
    pub async fn terminate(mut self) -> Result {
        for relay in &mut self.relays {
            let status = relay.terminate().await?;
            if !status.success() {
                return Err(crate::Failure::new(format!(
                    "a relay ended with {status} after SIGTERM; its log:\n{}",
                    relay.log_tail()
                )));
            }
        }
        Ok(())
    }
}
