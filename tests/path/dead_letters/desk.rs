//! A consumer's database whose consumer is the test: events arrive, die and are applied by SQL functions of its own, as the
//! library's consumer would, so that what operators do can be stopped between any two of its steps.

use outbox_core::dead_letter::{self, Filter, Operation};
use sqlx::{Executor, PgPool};
use system_tests::{Failure, Result, Schema, World};

const CONSUMER: &str = include_str!("consumer.sql");

/// What a test of operators works on.
pub(crate) struct Desk {
    pub(crate) world: World,
    pub(crate) pool: PgPool,
}

impl Desk {
    pub(crate) async fn new() -> Result<Self> {
        let world = World::with_schema(Schema::Inbox).await?;
        let pool = world.pool().await?;
        pool.execute(CONSUMER).await?;
        Ok(Self { world, pool })
    }

    /// Runs statements of the consumer.
    pub(crate) async fn run(&self, statements: &'static str) -> Result {
        self.pool.execute(statements).await?;
        Ok(())
    }

    pub(crate) async fn value<T>(&self, query: &'static str) -> Result<T>
    where
        T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        Ok(sqlx::query_scalar(query).fetch_one(&self.pool).await?)
    }

    /// Asks for a redrive as fast as possible; returns its number.
    pub(crate) async fn redrive(&self, filter: &Filter) -> Result<i64> {
        let mut connection = self.pool.acquire().await?;
        Ok(dead_letter::redrive(&mut connection, filter, "mended", None, false).await?)
    }

    /// Puts back what may go back by now; returns how many.
    pub(crate) async fn release(&self, operation: i64) -> Result<i32> {
        let release = sqlx::query_scalar("select outbox.release_redrive_items($1)").bind(operation);
        Ok(release.fetch_one(&self.pool).await?)
    }

    /// Applies what is due; returns how many events were handled.
    pub(crate) async fn drain(&self, poison: &[i64]) -> Result<i32> {
        let drain = sqlx::query_scalar("select drain($1)").bind(poison);
        Ok(drain.fetch_one(&self.pool).await?)
    }

    /// The effects so far, in their order.
    pub(crate) async fn effects(&self) -> Result<Vec<i64>> {
        Ok(sqlx::query_scalar("select number from effect order by n")
            .fetch_all(&self.pool)
            .await?)
    }

    pub(crate) async fn operation(&self, number: i64) -> Result<Operation> {
        let mut connection = self.pool.acquire().await?;
        let found = dead_letter::operation(&mut connection, number).await?;
        found.ok_or_else(|| Failure::new(format!("there is no operation {number}")))
    }

    /// What became of the letter of event `n`.
    pub(crate) async fn state(&self, number: i64) -> Result<String> {
        let state =
            sqlx::query_scalar("select state from outbox.dead_letter where id = 'event-' || $1").bind(number);
        Ok(state.fetch_one(&self.pool).await?)
    }
}

/// The letters of one key.
pub(crate) fn of_key(key: &str) -> Filter {
    Filter {
        key: Some(key.to_owned()),
        ..Filter::default()
    }
}

/// The SQLSTATE and the message with which something was refused.
pub(crate) fn refused<T: std::fmt::Debug>(
    outcome: std::result::Result<T, dead_letter::Error>,
) -> Result<(String, String)> {
    match outcome {
        Ok(done) => Err(Failure::new(format!("it was not refused: {done:?}"))),
        Err(error) => Ok((error.code().unwrap_or_default().to_owned(), error.to_string())),
    }
}
