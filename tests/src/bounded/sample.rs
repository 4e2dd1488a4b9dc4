//! What a moment looked like, and which time it belongs to.

use std::collections::BTreeMap;
use std::time::Instant;

use sqlx::PgConnection;

use super::{PIN, WARM};
use crate::{Relay, Result};

/// Statements that run for events, by the first words of their text, and what they are called on the page.
pub(super) const HOT: [(&[&str], &str); 3] = [
    (
        &[
            "-- Which rows are in the next batch",
            "-- What is there to cut",
            "-- Stores the batch whose rows",
        ],
        "cut a batch",
    ),
    (&["-- The next rows of one stream's share"], "read a share"),
    (&["-- How far streams have come"], "record progress"),
];
/// Goes by the clock and not by events, and is the one that changes a row again and again, which leaves dead ones.
pub(super) const LEASE: (&[&str], &str) = (&["-- Takes the rights named"], "renew the lease");

/// Which time a sample is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Every stream is behind, and the relay has just begun.
    Warming,
    /// Every stream is behind, and nobody holds a snapshot.
    Before,
    /// Every stream is behind, and somebody holds one.
    Pinned,
    /// Some streams are behind.
    Between,
    /// No stream has anything left of the backlog; the snapshot is still held.
    Steady,
}

impl Phase {
    /// Pure. From how many events each stream has, and how many of the backlog are for each.
    pub(super) fn of(published: &[u64], backlog_of_each: u64) -> Self {
        let parts = || {
            published
                .iter()
                .map(|count| *count as f64 / backlog_of_each.max(1) as f64)
        };
        let (least, most) = (parts().fold(f64::INFINITY, f64::min), parts().fold(0.0, f64::max));
        match (least, most) {
            (least, _) if least >= 1.0 => Self::Steady,
            (_, most) if most >= 1.0 => Self::Between,
            (_, most) if most >= PIN => Self::Pinned,
            (_, most) if most >= WARM => Self::Before,
            _ => Self::Warming,
        }
    }
}

/// One sample.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Since the start, in seconds.
    pub at: f64,
    /// The time it is of.
    pub phase: Phase,
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
    /// Pieces of the log.
    pub pieces: i64,
    /// By statement: calls, pages looked at and rows returned since the start.
    pub read: BTreeMap<&'static str, (f64, f64, f64)>,
}

impl Sample {
    pub(super) async fn take(
        connection: &mut PgConnection,
        begun: Instant,
        phase: Phase,
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
        let pieces = sqlx::query_scalar("select count(*) from outbox.piece where parent like 'log%'")
            .fetch_one(&mut *connection)
            .await?;
        let mut read = BTreeMap::new();
        for (begins, name) in HOT.into_iter().chain([LEASE]) {
            let numbers: (f64, f64, f64) = sqlx::query_as(
                "select coalesce(sum(calls), 0)::float8, coalesce(sum(shared_blks_hit + shared_blks_read), 0)::float8,
                        coalesce(sum(rows), 0)::float8
                 from pg_stat_statements s join pg_database d on d.oid = s.dbid
                 where d.datname = current_database() and exists (select from unnest($1::text[]) begins where starts_with(query, begins))",
            )
            .bind(begins)
            .fetch_one(&mut *connection)
            .await?;
            read.insert(name, numbers);
        }
        Ok(Self {
            at: begun.elapsed().as_secs_f64(),
            phase,
            published,
            relay_memory: relay.memory_bytes()?,
            consumer_memory: consumer.memory_bytes()?,
            connections,
            statements,
            pieces,
            read,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Phase;

    #[test]
    fn behind_means_that_every_stream_is() {
        for (published, phase) in [
            ([0, 0, 0], Phase::Warming),
            ([9, 12, 5], Phase::Before),
            ([29, 12, 5], Phase::Before),
            ([30, 12, 5], Phase::Pinned),
            ([99, 99, 30], Phase::Pinned),
            ([100, 99, 30], Phase::Between),
            ([140, 99, 100], Phase::Between),
            ([140, 100, 100], Phase::Steady),
        ] {
            assert_eq!(Phase::of(&published, 100), phase, "{published:?}");
        }
    }
}
