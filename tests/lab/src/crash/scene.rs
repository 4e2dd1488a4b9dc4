//! What a visit happens in: a relay, a member and producers in a world of their own, one of the processes armed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor};
use system_tests::patience::until;
use system_tests::relay::RelayOptions;
use system_tests::shop::{GROUP, Shop, TOPIC};
use system_tests::{Answer, Failure, Invocation, Producers, Relay, Result, Schema, Workload, World};

use super::table::{Action, Process, Provocation, Row};

pub(super) const LIMIT: Duration = Duration::from_secs(40);
const PARTITIONS: u32 = 2;
/// So far ahead of the log's last place its pieces are to be narrow: the last one, which is open, is then taken away and made
/// anew in parts.
const NEARLY_THERE: i64 = outbox_core::tail::pieces::RESERVE + 100_000;
/// Enough dead letters to have one: two events of a hundred are poisoned.
const ENOUGH: usize = 150;

/// A process that is started again, unarmed, when it ended.
struct Kept {
    options: RelayOptions,
    process: Relay,
    ends: Vec<Option<i32>>,
}

impl Kept {
    fn start(armed: &RelayOptions, options: RelayOptions) -> Result<Self> {
        let process = armed.start()?;
        Ok(Self {
            options,
            process,
            ends: Vec::new(),
        })
    }

    async fn look(&mut self) -> Result {
        if self.process.has_ended()? {
            let status = self.process.ended(LIMIT).await?;
            self.ends.push(status.code());
            self.process = self.options.start()?;
        }
        Ok(())
    }
}

pub(super) struct Scene {
    row: Row,
    action: Action,
    record: PathBuf,
    pub(super) world: World,
    pub(super) shop: Shop,
    relay: Kept,
    member: Kept,
    producers: Option<Producers>,
    command: Option<Answer>,
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
            producers: Some(workload.start(world.log()).await?),
            command: None,
            world,
            shop,
        })
    }

    /// Load, and what leads to the point.
    pub(super) async fn provoke(&mut self) -> Result {
        match self.row.provocation {
            Provocation::Load | Provocation::Quiet | Provocation::Old | Provocation::Far => {}
            Provocation::Grow => {
                self.load(20).await?;
                partition(&self.world, PARTITIONS + 1)?;
            }
            Provocation::Loss => {
                self.load(40).await?;
                self.lose().await?;
            }
            Provocation::Redrive => self.redrive().await?,
            Provocation::Seek => {
                self.load(40).await?;
                self.pass_something().await?;
                self.command = Some(self.seek(true)?);
            }
            Provocation::Migrate => self.command = Some(self.migrate(true).await?),
        }
        self.load(20).await
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
                "{failure}: the point was not reached; the relay's log:\n{}\nthe member's log:\n{}",
                self.relay.process.log_tail(),
                self.member.process.log_tail()
            ))
        })
    }

    /// Where old entries are trimmed, what comes from now on stays, to be looked at.
    pub(super) async fn keep_what_comes(&self) -> Result {
        if self.row.provocation == Provocation::Old {
            let mut connection = self.world.connect().await?;
            connection
                .execute("update outbox.stream_setting set retention = '1 hour'")
                .await?;
        }
        Ok(())
    }

    /// More load, then the end: everything arrived and settled. What was asked of a command is asked again.
    pub(super) async fn come_to_rest(&mut self) -> Result<system_tests::Journal> {
        if self.row.process == Process::Command {
            self.run_again().await?;
        }
        self.load(30).await?;
        let producers = self.producers.take();
        let producers = producers.ok_or_else(|| Failure::new("the producers were stopped before"))?;
        let journal = producers.stop().await?;
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

    /// A command that says to wait is run again after that.
    async fn run_again(&self) -> Result {
        let mut said = None;
        let wait = until("the command, run again, succeeds", LIMIT, async || {
            let answer = match self.row.provocation {
                Provocation::Seek => self.seek(false)?,
                _ => self.migrate(false).await?,
            };
            let is_done = answer.code == 0;
            said = Some(answer);
            Ok(is_done.then_some(()))
        });
        wait.await
            .map_err(|failure| Failure::new(format!("{failure}: it says {said:?}")))
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
            // A leader that lacks a part of itself must not go on as if it had it: it ends, and is started again.
            (Action::Panic, []) => !self.is_beside(),
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
        matches!(self.row.provocation, Provocation::Old | Provocation::Far)
    }

    async fn load(&mut self, transactions: usize) -> Result {
        match &mut self.producers {
            Some(producers) => producers.commit_more(transactions, LIMIT).await,
            None => Ok(()),
        }
    }

    /// Takes the last entries off each stream: what was confirmed is gone. The relay is stopped for that moment: what it puts behind
    /// them would hide that from it, and the member may have had them.
    async fn lose(&self) -> Result {
        self.relay.process.pause()?;
        self.take_off_ends().await?;
        self.relay.process.resume()
    }

    async fn take_off_ends(&self) -> Result {
        let mut redis = self.world.redis().await?;
        for partition in 0..PARTITIONS {
            let stream = format!("outbox:{TOPIC}:{partition}");
            let entries = system_tests::stream::entries(&mut redis, &stream).await?;
            if entries.is_empty() {
                continue;
            }
            let mut command = redis::cmd("XDEL");
            command.arg(&stream);
            for entry in entries.iter().rev().take(3) {
                command.arg(entry.id.to_string());
            }
            command.query_async::<()>(&mut redis).await?;
        }
        Ok(())
    }

    async fn redrive(&mut self) -> Result {
        self.load(ENOUGH).await?;
        let shop = &self.shop;
        until("an event is given up", LIMIT, async || {
            Ok((shop.seen().await?.dead > 0).then_some(()))
        })
        .await?;
        self.shop.mend().await?;
        let line = [
            "dead-letters",
            "redrive",
            "--consumer",
            GROUP,
            "--reason",
            "mended",
            "--all",
            "--yes",
            "--detach",
        ];
        let answer = Invocation::new(&line)?
            .set("DATABASE_URL", self.shop.url())
            .ask()?;
        if answer.code == 0 {
            return Ok(());
        }
        Err(Failure::new(format!("the redrive says {answer:?}")))
    }

    async fn pass_something(&self) -> Result {
        let shop = &self.shop;
        until("something is applied", LIMIT, async || {
            Ok((shop.seen().await?.applied > 20).then_some(()))
        })
        .await
    }

    fn seek(&self, is_armed: bool) -> Result<Answer> {
        let line = [
            "consumer",
            "seek",
            "--group",
            GROUP,
            "--topic",
            TOPIC,
            "--to",
            "begin",
            "--reason",
            "again",
            "--yes",
            "--log-url",
            self.world.database_url(),
        ];
        let command = Invocation::of(&self.world, &line)?.set("DATABASE_URL", self.shop.url());
        self.arm(command, is_armed).ask()
    }

    async fn migrate(&self, is_armed: bool) -> Result<Answer> {
        let empty = self.world.another_database(Schema::Empty).await?;
        let command = Invocation::new(&["migrate"])?.set("DATABASE_URL", empty.url());
        let answer = self.arm(command, is_armed).ask()?;
        if is_armed {
            // The same database again, at once: what the first one left must not be in its way.
            let again = Invocation::new(&["migrate"])?
                .set("DATABASE_URL", empty.url())
                .ask()?;
            if again.code != 0 {
                return Err(Failure::new(format!("run again, migrate says {again:?}")));
            }
        }
        Ok(answer)
    }

    fn arm(&self, command: Invocation, is_armed: bool) -> Invocation {
        if !is_armed {
            return command;
        }
        command
            .set("OUTBOX_CRASH_POINT", arms(self.row, self.action))
            .set("OUTBOX_CRASH_RECORD", self.record.display())
    }
}

fn arms(row: Row, action: Action) -> String {
    format!("{}:{}:{}", row.point.name(), action.word(), row.nth)
}

fn partition(world: &World, partitions: u32) -> Result {
    let partitions = partitions.to_string();
    let answer = Invocation::of(world, &["topic", "set", TOPIC, "--partitions", &partitions])?.ask()?;
    if answer.code == 0 {
        return Ok(());
    }
    Err(Failure::new(format!("topic set says {answer:?}")))
}

/// What must be so before anything is started.
async fn prepare(world: &World, provocation: Provocation) -> Result {
    let mut connection = world.connect().await?;
    let statement = match provocation {
        Provocation::Old => {
            format!("insert into outbox.stream_setting (topic, retention) values ('{TOPIC}', '1s')")
        }
        Provocation::Far => format!(
            "select setval('outbox.log_position', max(lower_bound) - {NEARLY_THERE}) from outbox.piece where parent = 'log_standard'"
        ),
        _ => return Ok(()),
    };
    connection.execute(AssertSqlSafe(statement)).await?;
    Ok(())
}
