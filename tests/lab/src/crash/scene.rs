//! What a visit happens in: a relay, a member and producers in a world of their own, one of the processes armed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use system_tests::patience::until;
use system_tests::relay::RelayOptions;
use system_tests::shop::{Shop, TOPIC};
use system_tests::{Answer, Failure, Journal, Producers, Relay, Result, Workload, World};

use super::provoke::{partition, prepare};
use super::table::{Action, Process, Provocation, Row};

pub(super) const LIMIT: Duration = Duration::from_secs(120);
pub(super) const PARTITIONS: u32 = 2;

/// A process that is started again, unarmed, when it ended.
pub(super) struct Kept {
    options: RelayOptions,
    pub(super) process: Relay,
    /// Those that ended, with what they said.
    former: Vec<Relay>,
    ends: Vec<Option<i32>>,
}

impl Kept {
    fn start(armed: &RelayOptions, options: RelayOptions) -> Result<Self> {
        let process = armed.start()?;
        Ok(Self {
            options,
            process,
            former: Vec::new(),
            ends: Vec::new(),
        })
    }

    async fn look(&mut self) -> Result {
        if self.process.has_ended()? {
            let status = self.process.ended(LIMIT).await?;
            self.ends.push(status.code());
            let next = self.options.start()?;
            self.former.push(std::mem::replace(&mut self.process, next));
        }
        Ok(())
    }

    fn be_quiet(&mut self) {
        self.former.iter_mut().for_each(Relay::be_quiet);
        self.process.be_quiet();
    }
}

pub(super) struct Scene {
    pub(super) row: Row,
    pub(super) action: Action,
    pub(super) record: PathBuf,
    pub(super) world: World,
    pub(super) shop: Shop,
    pub(super) relay: Kept,
    pub(super) member: Kept,
    workload: Workload,
    producers: Option<Producers>,
    /// What was done before the producers paused.
    before: Journal,
    pub(super) command: Option<Answer>,
}

impl Scene {
    pub(super) async fn set(row: Row, action: Action, seed: u64, folder: &Path) -> Result<Self> {
        let world = World::new().await?;
        let shop = Shop::open(&world, seed.cast_signed()).await?;
        let record = folder.join(format!("{}-{}", row.point.name(), action.word()));
        partition(&world, PARTITIONS)?;
        prepare(&world, row.provocation).await?;
        let relay = Relay::of(&world)
            .set("OUTBOX_PUBLISH_LOOK_EVERY", "100ms")
            .set("OUTBOX_MAINTAIN_INTERVAL", "1s");
        // What was appended before it starts is more than few.
        let relay = match row.provocation {
            Provocation::Behind => relay.set("OUTBOX_TAIL_FIRST_ROWS", 1),
            _ => relay,
        };
        let member = shop
            .member(&world)
            .set("OUTBOX_CONSUME_ATTEMPTS", 6)
            .set("OUTBOX_CONSUME_BACKOFF_MIN", "10ms")
            .set("OUTBOX_CONSUME_BACKOFF_MAX", "60ms")
            .set("OUTBOX_CONSUME_DISCOVERY", "1s");
        let arm = |options: &RelayOptions, process| {
            let options = options.clone();
            if row.process == process {
                options
                    .set("OUTBOX_CRASH_POINT", arms(row, action))
                    .set("OUTBOX_CRASH_RECORD", record.display())
            } else {
                options
            }
        };
        let (armed_relay, armed_member) = (arm(&relay, Process::Relay), arm(&member, Process::Member));
        let workload = Workload {
            writers: 3,
            keys: 60,
            topics: vec![TOPIC.to_owned()],
            seed,
            pause: Duration::from_millis(4),
            hold: 2,
            hold_at_most: Duration::from_millis(50),
            ..Workload::default()
        };
        Ok(Self {
            row,
            action,
            record,
            relay: Kept::start(&armed_relay, relay)?,
            member: Kept::start(&armed_member, member)?,
            producers: Some(workload.clone().start(world.log()).await?),
            workload,
            before: Journal::default(),
            command: None,
            world,
            shop,
        })
    }

    /// Waits until the point was reached. Whatever ended is started again.
    pub(super) async fn reached(&mut self) -> Result {
        let (record, point) = (self.record.clone(), self.row.point.name());
        let (relay, member) = (&mut self.relay, &mut self.member);
        let wait = until(point, LIMIT, async || {
            let is_there = record.exists();
            relay.look().await?;
            member.look().await?;
            Ok(is_there.then_some(()))
        });
        wait.await.map_err(|failure| {
            Failure::new(format!(
                "{failure}: the point was not reached; the command says {:?}; the relay's log:\n{}\nthe member's log:\n{}",
                self.command,
                self.relay.process.log_tail(),
                self.member.process.log_tail()
            ))
        })
    }

    /// More load, then the end: everything arrived and settled. What was asked of a command is asked again.
    pub(super) async fn come_to_rest(&mut self) -> Result<Journal> {
        if self.row.process == Process::Command {
            self.run_again().await?;
        }
        self.load(30).await?;
        self.stop_producers().await?;
        let journal = std::mem::take(&mut self.before);
        let wanted = journal.count(system_tests::journal::Outcome::Committed);
        let (relay, member, shop) = (&mut self.relay, &mut self.member, &self.shop);
        let goes_back = self.row.provocation == Provocation::Redrive;
        let mut seen = None;
        let wait = until("everything is applied, given up or parked", LIMIT, async || {
            relay.look().await?;
            member.look().await?;
            let now = shop.seen().await?;
            seen = Some(now);
            let settled = usize::try_from(now.applied + now.dead + now.parked)?;
            let is_back = !goes_back || now.dead + now.parked == 0;
            Ok((settled >= wanted && now.busy == 0 && is_back).then_some(()))
        });
        wait.await.map_err(|failure| {
            Failure::new(format!(
                "{failure}: {wanted} events, {seen:?}; the relay's log:\n{}\nthe member's log:\n{}",
                self.relay.process.log_tail(),
                self.member.process.log_tail()
            ))
        })?;
        Ok(journal)
    }

    /// What was done was what was asked for, and nothing else ended.
    pub(super) fn account(&self) -> Result {
        let (armed, other) = match self.row.process {
            Process::Relay => (Some(&self.relay.ends), vec![&self.member.ends]),
            Process::Member => (Some(&self.member.ends), vec![&self.relay.ends]),
            Process::Command => (None, vec![&self.member.ends, &self.relay.ends]),
        };
        if other.iter().any(|ends| !ends.is_empty()) {
            return Err(Failure::new(format!("another process ended: {other:?}")));
        }
        let first = self.command.as_ref().map(|answer| answer.code);
        let ends: Vec<i32> = match armed {
            Some(ends) => ends.iter().map(|code| code.unwrap_or(-1)).collect(),
            None => first.into_iter().collect(),
        };
        let is_right = match (self.action, ends.as_slice()) {
            (Action::Exit, [9]) => true,
            // A leader that lacks a part of itself must not go on as if it had it: it ends, and is started again. What a term that
            // ended meanwhile leaves to the end of its step is a part of nobody.
            (Action::Panic, []) => !self.is_beside() || self.relay.process.log().contains("the term ended"),
            (Action::Panic, [code]) => ![0, 9].contains(code),
            // It may end, for whoever looks after it to start it again, or go on by itself.
            (Action::Error, [] | [_]) => true,
            (Action::Stall, []) => true,
            (Action::Stall, [_]) => armed.is_none(),
            _ => false,
        };
        if is_right {
            return Ok(());
        }
        Err(Failure::new(format!("the processes ended with {ends:?}")))
    }

    /// The point is in a task beside the work, which nothing waits for.
    fn is_beside(&self) -> bool {
        matches!(
            self.row.provocation,
            Provocation::Old | Provocation::Far | Provocation::Gone
        )
    }

    /// All is well: nobody wants to read what the processes said.
    pub(super) fn be_quiet(&mut self) {
        self.relay.be_quiet();
        self.member.be_quiet();
    }

    /// Lets every writer finish. Returns how many events are committed.
    pub(super) async fn stop_producers(&mut self) -> Result<usize> {
        let producers = self.producers.take();
        let producers = producers.ok_or_else(|| Failure::new("the producers were stopped before"))?;
        self.before.merge(producers.stop().await?);
        Ok(self.before.count(system_tests::journal::Outcome::Committed))
    }

    /// Others write from here on, with keys of their own.
    pub(super) async fn start_producers(&mut self) -> Result {
        self.workload.key_prefix.push_str("later-");
        self.producers = Some(self.workload.clone().start(self.world.log()).await?);
        Ok(())
    }

    pub(super) async fn load(&mut self, transactions: usize) -> Result {
        match &mut self.producers {
            Some(producers) => producers.commit_more(transactions, LIMIT).await,
            None => Ok(()),
        }
    }
}

pub(super) fn arms(row: Row, action: Action) -> String {
    format!("{}:{}:{}", row.point.name(), action.word(), row.nth)
}
