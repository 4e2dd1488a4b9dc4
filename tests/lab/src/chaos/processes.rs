//! The relays and members: killed, stopped, told to end, and started again whenever they ended.

use system_tests::relay::RelayOptions;
use system_tests::{Failure, Relay, Result};

use super::fault::Party;

/// One place for a process.
pub(super) struct Slot {
    name: String,
    options: RelayOptions,
    process: Relay,
    is_paused: bool,
    /// It was told to end, and must do so with success.
    is_told: bool,
}

/// All of them.
pub(super) struct Processes {
    relays: Vec<Slot>,
    members: Vec<Slot>,
    started: usize,
    /// What ended by itself.
    pub(super) surprises: Vec<String>,
}

impl Slot {
    fn start(name: String, options: RelayOptions) -> Result<Self> {
        Ok(Self {
            process: options.start()?,
            name,
            options,
            is_paused: false,
            is_told: false,
        })
    }
}

impl Processes {
    /// Starts them; nothing is waited for.
    pub(super) fn start(relays: Vec<RelayOptions>, members: Vec<RelayOptions>) -> Result<Self> {
        let slots = |word: &str, all: Vec<RelayOptions>| -> Result<Vec<Slot>> {
            let numbered = all.into_iter().enumerate();
            numbered
                .map(|(number, options)| Slot::start(format!("{word} {number}"), options))
                .collect()
        };
        let (relays, members) = (slots("relay", relays)?, slots("member", members)?);
        Ok(Self {
            started: relays.len() + members.len(),
            relays,
            members,
            surprises: Vec::new(),
        })
    }

    fn of(&mut self, party: Party) -> &mut Vec<Slot> {
        match party {
            Party::Relay => &mut self.relays,
            Party::Member => &mut self.members,
        }
    }

    /// The one that a fault is for.
    fn victim(&mut self, party: Party, number: usize) -> &mut Slot {
        let slots = self.of(party);
        let number = number % slots.len();
        &mut slots[number]
    }

    /// Waits until all say that they are ready.
    pub(super) async fn ready(&mut self) -> Result {
        for slot in self.relays.iter_mut().chain(&mut self.members) {
            slot.process.ready().await?;
        }
        Ok(())
    }

    /// SIGKILL. It is started again by the next look.
    pub(super) fn kill(&mut self, party: Party, victim: usize) -> Result {
        let slot = self.victim(party, victim);
        slot.process.kill()?;
        // As an orchestrator would.
        slot.process = slot.options.start()?;
        (slot.is_paused, slot.is_told) = (false, false);
        self.started += 1;
        Ok(())
    }

    /// SIGTERM.
    pub(super) fn terminate(&mut self, party: Party, victim: usize) -> Result {
        let slot = self.victim(party, victim);
        slot.is_told = true;
        Ok(xtask::servers::signal(slot.process.process_id(), "TERM")?)
    }

    /// SIGSTOP.
    pub(super) fn pause(&mut self, party: Party, victim: usize) -> Result {
        let slot = self.victim(party, victim);
        slot.process.pause()?;
        slot.is_paused = true;
        Ok(())
    }

    /// SIGCONT to whoever is stopped.
    pub(super) fn resume(&mut self, party: Party) -> Result {
        for slot in self.of(party).iter_mut().filter(|slot| slot.is_paused) {
            slot.process.resume()?;
            slot.is_paused = false;
        }
        Ok(())
    }

    /// Starts again whatever ended. What ended by itself, or not well after it was told to, is noted.
    pub(super) fn look(&mut self) -> Result {
        for slot in self.relays.iter_mut().chain(&mut self.members) {
            if !slot.process.has_ended()? {
                continue;
            }
            if !slot.is_told {
                self.surprises.push(format!(
                    "{} ended by itself; its log:\n{}",
                    slot.name,
                    slot.process.log_tail()
                ));
            }
            slot.process = slot.options.start()?;
            slot.is_told = false;
            self.started += 1;
        }
        Ok(())
    }

    /// How many processes were started so far.
    pub(super) fn started(&self) -> usize {
        self.started
    }

    /// What each says of itself.
    pub(super) async fn testimony(&self) -> String {
        let mut said = Vec::new();
        for slot in self.relays.iter().chain(&self.members) {
            let health = match slot.process.get("/readyz").await {
                Ok((status, body)) => format!("{status} {body}"),
                Err(failure) => format!("no answer: {failure}"),
            };
            said.push(format!("{}: {health}\n{}", slot.name, slot.process.log_tail()));
        }
        said.join("\n\n")
    }

    /// SIGTERM to all; each must end with success.
    pub(super) async fn end(mut self) -> Result {
        for slot in self.members.iter_mut().chain(&mut self.relays) {
            let status = slot.process.terminate().await?;
            if !status.success() {
                return Err(Failure::new(format!(
                    "{} ended with {status} after SIGTERM; its log:\n{}",
                    slot.name,
                    slot.process.log_tail()
                )));
            }
        }
        Ok(())
    }
}
