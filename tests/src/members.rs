//! Members of a consumer group as processes: killed, stopped and continued as chance wants it.

use std::time::Duration;

use rand::Rng;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::relay::RelayOptions;
use crate::{Failure, Relay, Result};

/// Longer than the leases under test, now and then: then the stopped one comes back as a zombie.
const STRIKES_STOPPED_AT_MOST: u32 = 2;

/// Members started alike, each under a name of its own.
#[derive(Debug)]
pub struct Members {
    options: RelayOptions,
    slots: Vec<Slot>,
    started: usize,
    tally: Tally,
}

/// What was done to members so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// By SIGKILL, each replaced at once.
    pub kills: usize,
    /// By SIGSTOP.
    pub stops: usize,
    /// By SIGCONT; fewer than stopped, where one was killed while it was stopped.
    pub continued: usize,
}

#[derive(Debug)]
struct Slot {
    member: Relay,
    /// Strikes until it goes on; none for one that runs.
    stopped_for: Option<u32>,
}

impl Members {
    /// Starts so many and waits until each is ready.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn start(options: RelayOptions, count: usize) -> Result<Self> {
        let mut members = Self {
            options,
            slots: Vec::new(),
            started: 0,
            tally: Tally::default(),
        };
        for _ in 0..count {
            let member = members.another()?;
            members.slots.push(Slot {
                member,
                stopped_for: None,
            });
        }
        for slot in &mut members.slots {
            slot.member.ready().await?;
        }
        Ok(members)
    }

    fn another(&mut self) -> Result<Relay> {
        self.started += 1;
        let name = format!("member-{}", self.started);
        self.options.clone().argument("--member").argument(&name).start()
    }

    /// Strikes once a second for as long as that.
    ///
    /// # Errors
    /// When a member ended by itself or cannot be replaced.
    pub async fn storm(&mut self, lasting: Duration, random: &mut impl Rng) -> Result {
        let begun = Instant::now();
        let every = Duration::from_secs(1);
        let mut strikes = interval_at(begun + every, every);
        strikes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while begun.elapsed() < lasting {
            strikes.tick().await;
            self.strike(random)?;
        }
        self.calm()
    }

    /// Lets go on who was stopped long enough, kills one (perhaps a stopped one) and stops another one.
    fn strike(&mut self, random: &mut impl Rng) -> Result {
        for slot in &mut self.slots {
            match slot.stopped_for {
                Some(1) => {
                    slot.member.resume()?;
                    slot.stopped_for = None;
                    self.tally.continued += 1;
                }
                Some(strikes) => slot.stopped_for = Some(strikes - 1),
                None if slot.member.has_ended()? => {
                    return Err(Failure::new(format!(
                        "a member ended by itself; its log:\n{}",
                        slot.member.log_tail()
                    )));
                }
                None => {}
            }
        }
        let killed = random.random_range(0..self.slots.len());
        self.slots[killed].member.kill()?;
        self.slots[killed] = Slot {
            member: self.another()?,
            stopped_for: None,
        };
        self.tally.kills += 1;
        if self.slots.iter().any(|slot| slot.stopped_for.is_some()) {
            return Ok(());
        }
        let stopped = (killed + random.random_range(1..self.slots.len())) % self.slots.len();
        self.slots[stopped].member.pause()?;
        self.slots[stopped].stopped_for = Some(random.random_range(1..=STRIKES_STOPPED_AT_MOST));
        self.tally.stops += 1;
        Ok(())
    }

    /// Lets everyone go on.
    fn calm(&mut self) -> Result {
        for slot in &mut self.slots {
            if slot.stopped_for.take().is_some() {
                slot.member.resume()?;
                self.tally.continued += 1;
            }
        }
        Ok(())
    }

    /// What was done to them so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// SIGTERM to all; each must end with success.
    ///
    /// # Errors
    /// When one does not.
    pub async fn terminate(mut self) -> Result {
        for slot in &mut self.slots {
            let status = slot.member.terminate().await?;
            if !status.success() {
                return Err(Failure::new(format!(
                    "a member ended with {status} after SIGTERM; its log:\n{}",
                    slot.member.log_tail()
                )));
            }
        }
        Ok(())
    }
}
