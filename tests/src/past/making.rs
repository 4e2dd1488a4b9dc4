//! The ways in which a database comes to be older than its streams.

use std::process::Command;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use xtask::servers::{Postgres, Stop};

use super::{LIMIT, Past, QUIET, ROLES, Scene, TOPIC};
use crate::patience::until;
use crate::{Failure, Result, login};

/// Somebody may use them; a standby needs as many as its primary.
const PREPARED: u32 = 2;

fn prepares() -> xtask::servers::PostgresOptions {
    Postgres::options().set("max_prepared_transactions", PREPARED)
}

impl Scene {
    /// Twenty events are published and kept, ten more are published and lost.
    ///
    /// # Errors
    /// A server does not do as it is told.
    pub async fn after(past: Past) -> Result<Self> {
        Self::after_losing(past, 10, 1).await
    }

    /// The same with so many events lost, of a topic with so many partitions.
    ///
    /// # Errors
    /// A server does not do as it is told.
    pub async fn after_losing(past: Past, lost: usize, partitions: u32) -> Result<Self> {
        let options = match past {
            Past::PointInTime => Postgres::options()
                .set("archive_mode", "on")
                .set("archive_command", "cp %p ../%f"),
            _ => Postgres::options(),
        };
        let options = options.set("max_prepared_transactions", PREPARED);
        let mut scene = Self::new(options).await?;
        if partitions > 1 {
            scene.grow(partitions)?;
        }
        if past == Past::Dump {
            scene.spend_transactions(3_000).await?;
        }
        let first = match past {
            Past::PointInTime => Some(scene.world.postgres()?.back_up()?),
            _ => None,
        };
        scene.append_to(QUIET, 2).await?;
        scene.known = scene.publish(20).await?;
        match past {
            Past::BaseBackup => {
                let backup = scene.world.postgres()?.back_up()?;
                scene.unknown = scene.publish(lost).await?;
                scene.world.postgres()?.restore(&backup)?;
            }
            Past::PointInTime => {
                scene.execute("select pg_create_restore_point('past')").await?;
                scene.unknown = scene.publish(lost).await?;
                scene.archive_everything().await?;
                let backup = first.ok_or_else(|| Failure::new("no backup"))?;
                scene.world.postgres()?.recover_to(
                    &backup,
                    &[
                        ("restore_command", "cp ../%f %p"),
                        ("recovery_target_name", "past"),
                        ("recovery_target_action", "promote"),
                    ],
                )?;
            }
            Past::StaleStandby => {
                let primary = scene.world.postgres()?;
                let standby = primary.standby(primary.port(), prepares())?;
                scene.forget_the_primary(standby).await?;
                scene.unknown = scene.publish(lost).await?;
                scene.world.postgres()?.stop(Stop::Immediate)?;
                scene.elsewhere()?.promote()?;
                scene.go_elsewhere()?;
            }
            Past::Dump => scene.dump_and_load(lost).await?,
            Past::Copy => {
                let copy = scene.world.postgres()?.copy_beside(prepares())?;
                scene.unknown = scene.publish(lost).await?;
                scene.elsewhere = Some(copy);
                scene.go_elsewhere()?;
            }
        }
        Ok(scene)
    }

    /// The topic gets so many partitions.
    ///
    /// # Errors
    /// It is refused.
    pub fn grow(&mut self, partitions: u32) -> Result {
        let answer = self.ask(&["topic", "set", TOPIC, "--partitions", &partitions.to_string()])?;
        if answer.code != 0 {
            return Err(Failure::new(format!("topic set says {answer:?}")));
        }
        self.partitions = partitions;
        Ok(())
    }

    async fn dump_and_load(&mut self, lost: usize) -> Result {
        let file = tempfile::NamedTempFile::new()?;
        self.dump(file.path())?;
        self.unknown = self.publish(lost).await?;
        self.load(file.path()).await
    }

    /// Dumps the database to a file.
    ///
    /// # Errors
    /// A server does not do as it is told.
    pub fn dump(&self, file: &std::path::Path) -> Result {
        tool(
            "pg_dump",
            &["-Fc", "-f", &file.to_string_lossy(), "-d", &self.url],
        )
    }

    /// Loads a dump into a new cluster and goes there.
    ///
    /// # Errors
    /// A server does not do as it is told.
    pub async fn load(&mut self, file: &std::path::Path) -> Result {
        let server = Postgres::options().start()?;
        let mut connection = PgConnection::connect(&server.url("postgres")).await?;
        connection.execute(ROLES).await?;
        login::make(&mut connection).await?;
        let name = self.world.log().name().to_owned();
        connection
            .execute(AssertSqlSafe(format!("create database {name}")))
            .await?;
        connection.close().await?;
        tool("pg_restore", &["-d", &server.url(&name), &file.to_string_lossy()])?;
        self.elsewhere = Some(server);
        self.go_elsewhere()
    }

    /// Cuts a standby off its primary once it has everything.
    async fn forget_the_primary(&mut self, mut standby: Postgres) -> Result {
        self.caught_up(&standby).await?;
        standby.configure("primary_conninfo", "host=127.0.0.1 port=1 user=postgres")?;
        standby.reload()?;
        let mut there = PgConnection::connect(&standby.url("postgres")).await?;
        until("the standby lets go", LIMIT, async || {
            let receiving: bool = sqlx::query_scalar("select exists (select from pg_stat_wal_receiver)")
                .fetch_one(&mut there)
                .await?;
            Ok((!receiving).then_some(()))
        })
        .await?;
        self.elsewhere = Some(standby);
        Ok(())
    }

    /// Waits until a standby has what the primary has now.
    ///
    /// # Errors
    /// A server does not do as it is told.
    pub async fn caught_up(&self, standby: &Postgres) -> Result {
        let mut here = PgConnection::connect(&self.url).await?;
        let position: String = sqlx::query_scalar("select pg_current_wal_lsn()::text")
            .fetch_one(&mut here)
            .await?;
        let mut there = PgConnection::connect(&standby.url("postgres")).await?;
        until("the standby catches up", LIMIT, async || {
            let has: bool = sqlx::query_scalar("select pg_last_wal_replay_lsn() >= $1::text::pg_lsn")
                .bind(&position)
                .fetch_one(&mut there)
                .await?;
            Ok(has.then_some(()))
        })
        .await
    }

    async fn archive_everything(&mut self) -> Result {
        let mut connection = PgConnection::connect(&self.url).await?;
        let last: String = sqlx::query_scalar("select pg_walfile_name(pg_switch_wal())")
            .fetch_one(&mut connection)
            .await?;
        until("the archive has it", LIMIT, async || {
            let has: Option<bool> =
                sqlx::query_scalar("select last_archived_wal >= $1 from pg_stat_archiver")
                    .bind(&last)
                    .fetch_one(&mut connection)
                    .await?;
            Ok((has == Some(true)).then_some(()))
        })
        .await
    }
}

fn tool(name: &str, arguments: &[&str]) -> Result {
    let ended = Command::new(name).args(arguments).output()?;
    if ended.status.success() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{name}: {}",
        String::from_utf8_lossy(&ended.stderr)
    )))
}
