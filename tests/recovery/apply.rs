//! A recovery at work, stopped where a test wants it to wait.

use std::process::{Child, Command, Stdio};

use sqlx::PgConnection;
use system_tests::past::{LIMIT, Scene};
use system_tests::patience::until;
use system_tests::{Failure, Result, relay};

/// Where it waits: for a lock that a test holds.
pub(crate) const ON_ENTRIES: &str = "outbox.unknown_entry";
pub(crate) const ON_SKIPPED: &str = "outbox.unpublished";
pub(crate) const ON_LOG: &str = "outbox.log_standard";

/// The binary at work, killed when dropped.
pub(crate) struct AtWork(Child);

impl AtWork {
    pub(crate) fn start(scene: &Scene, strategy: &str) -> Result<Self> {
        let child = Command::new(relay::binary()?)
            .args(["--output", "json", "recover", "apply", "--strategy", strategy])
            .args(["--reason", "a test", "--yes"])
            .env("DATABASE_URL", &scene.url)
            .env("REDIS_URL", scene.world.redis_url())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Self(child))
    }

    /// Waits until it waits for a lock on this table.
    pub(crate) async fn waits(&mut self, scene: &Scene, table: &str) -> Result {
        let mut connection = scene.connect().await?;
        let child = &mut self.0;
        until("it waits", LIMIT, async || {
            if child.try_wait()?.is_some() {
                return Err(Failure::new(format!("it ended and did not wait for {table}")));
            }
            Ok(is_waited_for(&mut connection, table).await?.then_some(()))
        })
        .await
    }

    pub(crate) fn kill(mut self) -> Result {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// Waits for its end: exit code, what it says, and what it complains of.
    pub(crate) async fn end(mut self) -> Result<(i32, String, String)> {
        let child = &mut self.0;
        let status = until("it ends", LIMIT, async || Ok(child.try_wait()?)).await?;
        let (mut output, mut errors) = (String::new(), String::new());
        if let Some(mut pipe) = child.stdout.take() {
            std::io::Read::read_to_string(&mut pipe, &mut output)?;
        }
        if let Some(mut pipe) = child.stderr.take() {
            std::io::Read::read_to_string(&mut pipe, &mut errors)?;
        }
        Ok((status.code().unwrap_or(-1), output, errors))
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

pub(crate) async fn is_waited_for(connection: &mut PgConnection, table: &str) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "select exists (select from pg_locks where relation = $1::text::regclass and not granted)",
    )
    .bind(table)
    .fetch_one(connection)
    .await?)
}

/// Waits until nobody waits for this table: the session of a process that was killed ends by itself.
pub(crate) async fn nobody_waits(scene: &Scene, table: &str) -> Result {
    let mut connection = scene.connect().await?;
    until("the session ends by itself", LIMIT, async || {
        Ok((!is_waited_for(&mut connection, table).await?).then_some(()))
    })
    .await
}

/// What a recovery that was killed held runs out by itself; a test does not wait for that.
pub(crate) async fn leases_run_out(scene: &Scene) -> Result {
    scene
        .execute("update outbox.lease set expires_at = '-infinity'")
        .await
}

/// How many eras there are, and how many recoveries that were begun, in each state.
pub(crate) async fn stands(scene: &Scene) -> Result<(i64, Vec<String>)> {
    let mut connection = scene.connect().await?;
    let eras = sqlx::query_scalar("select count(*) from outbox.era")
        .fetch_one(&mut connection)
        .await?;
    let states = sqlx::query_scalar("select strategy || ' ' || state from outbox.recovery order by number")
        .fetch_all(&mut connection)
        .await?;
    Ok((eras, states))
}
