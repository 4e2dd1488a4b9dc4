//! The two relays: who is who, killing one, putting another in its place.

use tokio::sync::watch;

use crate::Result;
use crate::backstage::{Guard, Relay};

/// Names of relays by their process ids.
pub(super) type Names = Vec<(u32, String)>;

/// The relays on duty.
#[derive(Debug)]
pub(super) struct Crew {
    relays: Vec<Relay>,
    names: watch::Sender<Names>,
    shop: String,
    redis: String,
    // Last: it kills what is left.
    guard: Guard,
}

impl Crew {
    /// Starts two relays.
    pub(super) fn start(shop: &str, redis: &str) -> Result<Self> {
        let guard = Guard::post()?;
        let relays = ["A", "B"].map(|name| Relay::start(&guard, name, shop, redis));
        let crew = Self {
            relays: relays.into_iter().collect::<Result<_>>()?,
            names: watch::Sender::default(),
            shop: shop.to_owned(),
            redis: redis.to_owned(),
            guard,
        };
        crew.publish_names();
        Ok(crew)
    }

    /// Who is who, as it changes.
    pub(super) fn names(&self) -> watch::Receiver<Names> {
        self.names.subscribe()
    }

    /// The name of a process.
    pub(super) fn name_of(&self, process: u32) -> String {
        name_in(&self.names.borrow(), process)
    }

    /// SIGKILL to the relay with this process id.
    pub(super) async fn kill(&mut self, process: u32) -> Result {
        let relay = self.relays.iter_mut().find(|relay| relay.id() == process);
        relay
            .ok_or_else(|| format!("process {process} leads, which is none of the demo's relays"))?
            .kill()
            .await
    }

    /// Starts a relay in the place of one that was killed.
    pub(super) fn replace(&mut self, process: u32) -> Result {
        if let Some(place) = self.relays.iter_mut().find(|relay| relay.id() == process) {
            *place = Relay::start(&self.guard, place.name(), &self.shop, &self.redis)?;
        }
        self.publish_names();
        Ok(())
    }

    /// Ends them gracefully.
    pub(super) async fn stop(&mut self) -> Result {
        for relay in &mut self.relays {
            relay.stop().await?;
        }
        Ok(())
    }

    /// The ends of their logs, for a run that failed.
    pub(super) fn logs(&self) -> String {
        let tail = |relay: &Relay| {
            format!(
                "--- relay {}, end of its log ---\n{}",
                relay.name(),
                relay.log_tail()
            )
        };
        self.relays.iter().map(tail).collect::<Vec<_>>().join("\n")
    }

    fn publish_names(&self) {
        self.names.send_replace(
            self.relays
                .iter()
                .map(|relay| (relay.id(), relay.name().to_owned()))
                .collect(),
        );
    }
}

/// The name of a process among these.
pub(super) fn name_in(names: &Names, process: u32) -> String {
    let known = names.iter().find(|(id, _)| *id == process);
    known.map_or_else(
        || format!("process {process}"),
        |(_, name)| format!("relay {name}"),
    )
}
