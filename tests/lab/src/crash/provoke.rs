//! What leads to a point: load, a loss, a redrive, a command; and what must be so before anything is started.

use redis::streams::StreamInfoGroupsReply;
use sqlx::{AssertSqlSafe, Executor};
use system_tests::patience::until;
use system_tests::shop::{GROUP, TOPIC};
use system_tests::{Answer, Failure, Invocation, Result, Schema, World};

use super::scene::{LIMIT, PARTITIONS, Scene, arms};
use super::table::Provocation;

/// So far ahead of the log's last place its pieces are to be narrow: the last one, which is open, is then taken away and made
/// anew in parts.
const NEARLY_THERE: i64 = outbox_core::tail::pieces::RESERVE + 100_000;
/// Enough dead letters to have one: two events of a hundred are poisoned.
const ENOUGH: usize = 150;

impl Scene {
    /// Load, and what leads to the point.
    pub(super) async fn provoke(&mut self) -> Result {
        match self.row.provocation {
            Provocation::Load | Provocation::Quiet | Provocation::Far | Provocation::Behind => {}
            Provocation::Old => self.grow_old().await?,
            Provocation::Grow => {
                self.load(20).await?;
                partition(&self.world, PARTITIONS + 1)?;
            }
            Provocation::Loss => {
                self.load(40).await?;
                self.lose().await?;
            }
            Provocation::Gone => self.lose_for_good().await?,
            Provocation::Skip => self.skip().await?,
            Provocation::Redrive => self.redrive().await?,
            Provocation::Seek => {
                self.load(40).await?;
                self.pass_something().await?;
                self.command = Some(self.seek(true)?);
            }
            Provocation::Migrate => self.command = Some(self.migrate(true).await?),
            Provocation::Recover => {
                self.load(40).await?;
                super::ahead::put(&self.world, PARTITIONS).await?;
                self.relay.process.not_ready_because("STREAM-IS-AHEAD").await?;
                self.command = Some(self.recover(true).await?);
            }
        }
        self.load(20).await
    }

    /// Entries are old after a second, from the moment on at which every stream waits for the group: what was trimmed before a group
    /// was known is not for it.
    async fn grow_old(&mut self) -> Result {
        self.load(20).await?;
        let mut connection = self.world.connect().await?;
        until("every stream waits for the group", LIMIT, async || {
            let known: i64 = sqlx::query_scalar(
                // Of the numbered streams: 0 is the one without a number.
                "select count(distinct partition) from outbox.stream_group where topic = $1 and name = $2 and partition > 0",
            )
            .bind(TOPIC)
            .bind(GROUP)
            .fetch_one(&mut connection)
            .await?;
            Ok((known >= i64::from(PARTITIONS)).then_some(()))
        })
        .await?;
        connection
            .execute(AssertSqlSafe(format!(
                "insert into outbox.stream_setting (topic, retention) values ('{TOPIC}', '1s')"
            )))
            .await?;
        Ok(())
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

    /// A command that says to wait is run again after that.
    pub(super) async fn run_again(&self) -> Result {
        // Done is done: a recovery has nothing to do then.
        if self.row.provocation == Provocation::Recover
            && self.command.as_ref().is_some_and(|first| first.code == 0)
        {
            return Ok(());
        }
        let mut said = None;
        let wait = until("the command, run again, succeeds", LIMIT, async || {
            let answer = match self.row.provocation {
                Provocation::Seek => self.seek(false)?,
                Provocation::Recover => self.recover(false).await?,
                _ => self.migrate(false).await?,
            };
            let is_done = answer.code == 0;
            said = Some(answer);
            Ok(is_done.then_some(()))
        });
        wait.await
            .map_err(|failure| Failure::new(format!("{failure}: it says {said:?}")))
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

    /// Moves the group to the end of each stream while the member stands still, and entries came that it has not had.
    async fn skip(&mut self) -> Result {
        self.load(40).await?;
        let mut redis = self.world.redis().await?;
        for partition in 0..PARTITIONS {
            let stream = format!("outbox:{TOPIC}:{partition}");
            until("the group is on the stream", LIMIT, async || {
                let told: redis::RedisResult<StreamInfoGroupsReply> = redis::cmd("XINFO")
                    .arg(&["GROUPS", &stream])
                    .query_async(&mut redis)
                    .await;
                let is_there = told.is_ok_and(|told| told.groups.iter().any(|group| group.name == GROUP));
                Ok(is_there.then_some(()))
            })
            .await?;
        }
        self.pass_something().await?;
        self.member.process.pause()?;
        for partition in 0..PARTITIONS {
            let stream = format!("outbox:{TOPIC}:{partition}");
            let before = system_tests::stream::entries(&mut redis, &stream).await?.len();
            until("more is on the stream", LIMIT, async || {
                let now = system_tests::stream::entries(&mut redis, &stream).await?.len();
                Ok((now > before + 10).then_some(()))
            })
            .await?;
            redis::cmd("XGROUP")
                .arg(&["SETID", &stream, GROUP, "$"])
                .query_async::<()>(&mut redis)
                .await?;
        }
        self.member.process.resume()
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

    /// Beside the test: an era waits for producers, which are in this process.
    async fn recover(&self, is_armed: bool) -> Result<Answer> {
        let line = [
            "recover",
            "apply",
            "--strategy",
            "trust-database",
            "--reason",
            "a copy wrote here",
            "--yes",
        ];
        let command = self.arm(Invocation::of(&self.world, &line)?, is_armed);
        tokio::task::spawn_blocking(move || command.ask()).await?
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

pub(super) fn partition(world: &World, partitions: u32) -> Result {
    let partitions = partitions.to_string();
    let answer = Invocation::of(world, &["topic", "set", TOPIC, "--partitions", &partitions])?.ask()?;
    if answer.code == 0 {
        return Ok(());
    }
    Err(Failure::new(format!("topic set says {answer:?}")))
}

/// What must be so before anything is started.
pub(super) async fn prepare(world: &World, provocation: Provocation) -> Result {
    let mut connection = world.connect().await?;
    let statement = match provocation {
        Provocation::Far => format!(
            "select setval('outbox.log_position', max(lower_bound) - {NEARLY_THERE}) from outbox.piece where parent = 'log_standard'"
        ),
        Provocation::Behind => "select outbox.append('behind', '{}');
             select setval('outbox.log_position', 200000);
             select outbox.append('behind', '{}')"
            .to_owned(),
        _ => return Ok(()),
    };
    connection.execute(AssertSqlSafe(statement)).await?;
    Ok(())
}
