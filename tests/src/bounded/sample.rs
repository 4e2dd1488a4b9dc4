//! What a moment looked like.

use std::collections::BTreeMap;
use std::time::Instant;

use sqlx::PgConnection;

use crate::{Relay, Result};

/// Statements that run for batches, by the first words of their text, and what they are called on the page.
pub(super) const HOT: [(&str, &str); 3] = [
    ("-- Which rows are in the next batch", "cut a batch"),
    ("-- The next rows of one stream's share", "read a share"),
    ("-- How far streams have come", "record progress"),
];

/// One sample.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Since the start, in seconds.
    pub at: f64,
    /// Events on their streams.
    pub published: u64,
    /// Of the relay, in bytes.
    pub relay_memory: u64,
    /// Of the consumer that hangs, in bytes.
    pub consumer_memory: u64,
    /// Of relay and consumer to Postgres.
    pub connections: i64,
    /// Of those, at work on a statement.
    pub statements: i64,
    /// By statement: calls and pages looked at since the start.
    pub read: BTreeMap<&'static str, (f64, f64)>,
}

impl Sample {
    pub(super) async fn take(
        connection: &mut PgConnection,
        begun: Instant,
        published: u64,
        relay: &Relay,
        consumer: &Relay,
    ) -> Result<Self> {
        let (connections, statements): (i64, i64) = sqlx::query_as(
            "select count(*), count(*) filter (where state = 'active') from pg_stat_activity
             where application_name like 'outbox-relay/%'",
        )
        .fetch_one(&mut *connection)
        .await?;
        let mut read = BTreeMap::new();
        for (begins, name) in HOT {
            let numbers: (f64, f64) = sqlx::query_as(
                "select coalesce(sum(calls), 0)::float8, coalesce(sum(shared_blks_hit + shared_blks_read), 0)::float8
                 from pg_stat_statements where starts_with(query, $1)",
            )
            .bind(begins)
            .fetch_one(&mut *connection)
            .await?;
            read.insert(name, numbers);
        }
        Ok(Self {
            at: begun.elapsed().as_secs_f64(),
            published,
            relay_memory: relay.memory_bytes()?,
            consumer_memory: consumer.memory_bytes()?,
            connections,
            statements,
            read,
        })
    }
}
