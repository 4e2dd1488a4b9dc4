//! Consumer groups of one topic whose members note what they applied, in the order of their commits per key.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor, PgConnection};
use uuid::Uuid;

use crate::patience::until;
use crate::{Database, Failure, Relay, Result};

/// Groups, and the database that their effects are in.
#[derive(Debug)]
pub struct Readers {
    database_url: String,
    topic: String,
    notes: PgConnection,
}

impl Readers {
    /// In this database, which has an inbox.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn new(database: &Database, topic: &str) -> Result<Self> {
        let mut notes = database.connect().await?;
        notes
            .execute("create table public.effect (number bigint generated always as identity, consumer text, id uuid)")
            .await?;
        Ok(Self {
            database_url: database.url().to_owned(),
            topic: topic.to_owned(),
            notes,
        })
    }

    /// Starts a member of a group. Not waited for: one that holds an entry says that it is not ready.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn join(&mut self, group: &str, redis_url: &str) -> Result<Relay> {
        self.notes
            .execute(AssertSqlSafe(format!(
                "create or replace function public.note_{group}(event json) returns void language sql as $$
                     insert into public.effect (consumer, id) values ('{group}', (event ->> 'id')::uuid) $$"
            )))
            .await?;
        let call = format!("public.note_{group}");
        Relay::command(&[
            "consume",
            "--group",
            group,
            "--topic",
            &self.topic,
            "--call",
            &call,
        ])
        .set("DATABASE_URL", &self.database_url)
        .set("REDIS_URL", redis_url)
        .set("OUTBOX_CONSUME_LEASE_TTL", "1s")
        .start()
    }

    /// What a group did so far.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn effects_now(&mut self, group: &str) -> Result<Vec<Uuid>> {
        let done = "select id from public.effect where consumer = $1 order by number";
        Ok(sqlx::query_scalar(done)
            .bind(group)
            .fetch_all(&mut self.notes)
            .await?)
    }

    /// What a group did, once it did as much.
    ///
    /// # Errors
    /// When it did not within the limit.
    pub async fn effects(&mut self, group: &str, count: usize, limit: Duration) -> Result<Vec<Uuid>> {
        let mut seen = 0;
        let done = until("effects", limit, async || {
            let ids = self.effects_now(group).await?;
            seen = ids.len();
            Ok((seen >= count).then_some(ids))
        });
        let done = done.await;
        done.map_err(|failure| Failure::new(format!("{failure}: {seen} of {count} by {group}")))
    }
}
