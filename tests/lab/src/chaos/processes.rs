//! The relays and members: killed, stopped, told to end, and started again whenever they ended.

use std::os::unix::process::ExitStatusExt;

use system_tests::relay::RelayOptions;
use system_tests::{Failure, Relay, Result};
use xtask::servers::is_stopped;

use super::fault::Party;

const SIGTERM: i32 = 15;
/// What each says of itself when it can be asked, and told to end.
const LISTENS: &str = "listening for /livez";

/// One place for a process.
pub(super) struct Slot {
    name: String,
    options: RelayOptions,
    process: Relay,
    is_paused: bool,
    /// It was told to end, and must do so with success.
    is_told: bool,
    /// How many processes were here so far.
    generation: usize,
}

/// The process that a fault was for: its place, and the how-manieth there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Victim {
    is_member: bool,
    place: usize,
    generation: usize,
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
            generation: 0,
        })
    }

    fn start_again(&mut self) -> Result {
        self.process = self.options.start()?;
        (self.is_paused, self.is_told) = (false, false);
        self.generation += 1;
        Ok(())
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

    /// The one that a fault is for; none while nobody leads. `leader`: the process that the lease names.
    pub(super) fn victim(&self, party: Party, number: usize, leader: Option<u32>) -> Option<Victim> {
        let is_member = party == Party::Member;
        let slots = if is_member { &self.members } else { &self.relays };
        let fit: Vec<usize> = (0..slots.len())
            .filter(|place| {
                let leads = Some(slots[*place].process.process_id()) == leader;
                is_member || leads == (party == Party::Leader)
            })
            .collect();
        let place = *fit.get(number.checked_rem(fit.len())?)?;
        Some(Victim {
            is_member,
            place,
            generation: slots[place].generation,
        })
    }

    fn slot(&mut self, victim: Victim) -> &mut Slot {
        if victim.is_member {
            &mut self.members[victim.place]
        } else {
            &mut self.relays[victim.place]
        }
    }

    /// Whether another process is in its place.
    pub(super) fn is_replaced(&mut self, victim: Victim) -> bool {
        self.slot(victim).generation > victim.generation
    }

    /// Whether another process is in its place and says something of itself.
    pub(super) async fn is_back(&mut self, victim: Victim) -> bool {
        self.is_replaced(victim) && self.slot(victim).process.get("/readyz").await.is_ok()
    }

    /// Whether the system says that it is stopped.
    pub(super) fn is_stopped(&mut self, victim: Victim) -> bool {
        is_stopped(self.slot(victim).process.process_id())
    }

    /// Waits until all say that they are ready.
    pub(super) async fn ready(&mut self) -> Result {
        for slot in self.relays.iter_mut().chain(&mut self.members) {
            slot.process.ready().await?;
        }
        Ok(())
    }

    /// SIGKILL, and another one, as an orchestrator would.
    pub(super) fn kill(&mut self, victim: Victim) -> Result {
        let slot = self.slot(victim);
        slot.process.kill()?;
        slot.start_again()?;
        self.started += 1;
        Ok(())
    }

    /// SIGTERM.
    pub(super) fn terminate(&mut self, victim: Victim) -> Result {
        let slot = self.slot(victim);
        slot.is_told = true;
        Ok(xtask::servers::signal(slot.process.process_id(), "TERM")?)
    }

    /// SIGSTOP.
    pub(super) fn pause(&mut self, victim: Victim) -> Result {
        let slot = self.slot(victim);
        slot.process.pause()?;
        slot.is_paused = true;
        Ok(())
    }

    /// SIGCONT to whoever is stopped.
    pub(super) fn resume(&mut self, is_member: bool) -> Result {
        let slots = if is_member {
            &mut self.members
        } else {
            &mut self.relays
        };
        for slot in slots.iter_mut().filter(|slot| slot.is_paused) {
            slot.process.resume()?;
            slot.is_paused = false;
        }
        Ok(())
    }

    /// Starts again whatever ended. What ended by itself, or not well after it was told to, is noted.
    pub(super) fn look(&mut self) -> Result {
        for slot in self.relays.iter_mut().chain(&mut self.members) {
            let Some(status) = slot.process.exit_status()? else {
                continue;
            };
            // One that was told before it could listen ends as any process does.
            let is_young = status.signal() == Some(SIGTERM) && !slot.process.log().contains(LISTENS);
            if !slot.is_told || !(status.success() || is_young) {
                let how = if slot.is_told {
                    "after SIGTERM"
                } else {
                    "by itself"
                };
                self.surprises.push(format!(
                    "{} ended {how} with {status}; its log:\n{}",
                    slot.name,
                    slot.process.log_tail()
                ));
            }
            slot.start_again()?;
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
