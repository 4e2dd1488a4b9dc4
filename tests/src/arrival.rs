//! From the log to the streams: waiting until everything arrived, and what the witness says about it.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use sqlx::Connection;

use crate::journal::{Fact, Outcome};
use crate::patience::until;
use crate::plain_reader::layout;
use crate::witness::{Verdict, Witness};
use crate::{Journal, Result, World, stream};

/// The stream of a topic, with the default prefix.
#[must_use]
pub fn stream_of(topic: &str) -> String {
    format!("outbox:{topic}")
}

/// How many events these topics have on their streams.
///
/// # Errors
/// When Redis does not answer.
pub async fn entries_of(world: &World, topics: &[String]) -> Result<u64> {
    let mut redis = world.redis().await?;
    let mut entries = 0;
    for topic in topics {
        let keys = stream::keys_of_topic(&mut redis, topic).await?;
        for key in &keys {
            entries += stream::length(&mut redis, key).await?;
        }
        for (_, batch) in layout(&mut redis, topic).await? {
            for key in &keys {
                entries = entries.saturating_sub(u64::from(has_control_entry(&mut redis, key, batch).await?));
            }
        }
    }
    Ok(entries)
}

/// Whether a stream has the relay's own entry of this batch.
async fn has_control_entry(redis: &mut MultiplexedConnection, key: &str, batch: u64) -> Result<bool> {
    let id = format!("{batch}-0");
    let found: StreamRangeReply = redis::cmd("XRANGE")
        .arg(&[key, &id, &id])
        .query_async(redis)
        .await?;
    Ok(!found.ids.is_empty())
}

/// How many committed events these topics have in the log.
///
/// # Errors
/// When Postgres does not answer.
pub async fn events_of(world: &World, topics: &[String]) -> Result<u64> {
    let mut connection = world.connect().await?;
    let count: i64 = sqlx::query_scalar("select count(*) from outbox.log where topic = any($1)")
        .bind(topics)
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(u64::try_from(count)?)
}

/// Waits until the streams have at least as many entries as the log has events now.
///
/// # Errors
/// When they do not within the limit.
pub async fn arrived(world: &World, topics: &[String], limit: Duration) -> Result {
    let expected = events_of(world, topics).await?;
    let mut seen = 0;
    let wait = until("arrival", limit, async || {
        seen = entries_of(world, topics).await?;
        Ok((seen >= expected).then_some(()))
    });
    let outcome = wait.await;
    outcome.map_err(|failure| {
        crate::Failure::new(format!(
            "{failure}; {seen} of {expected} events are on the streams"
        ))
    })
}

/// What the witness says of the streams of these topics.
///
/// # Errors
/// When Redis does not answer.
pub async fn judge(world: &World, journal: &Journal, topics: &[String]) -> Result<Verdict> {
    let mut redis = world.redis().await?;
    let mut witness = Witness::new(journal);
    for topic in topics {
        witness = witness.partitions(topic, &stream::of_topic(&mut redis, topic).await?);
    }
    let verdict = witness.verdict();
    eprintln!("witness: {verdict}");
    Ok(verdict)
}

/// Appends a backlog in `transactions` transactions of `events` events each, spread over the topics and 1,000 keys.
///
/// # Errors
/// When Postgres does not answer.
pub async fn backlog(
    world: &World,
    topics: &[String],
    transactions: i32,
    events: i32,
    payload_bytes: i32,
) -> Result<Journal> {
    let mut connection = world.connect().await?;
    let mut journal = Journal::default();
    for _ in 0..transactions {
        // Straight into the table, as its owner: the function of the producers checks every event on its own, and what
        // is under test here begins behind it.
        let rows: Vec<(uuid::Uuid, String, String, i64)> = sqlx::query_as(
            "insert into outbox.log (retention, topic, key, id, source, type, data)
             select 'standard', topic, topic || '-' || (n % 1000), gen_random_uuid(), '/backlog', topic,
                    json_build_object('number', n, 'filling', repeat('x', $3))
             from generate_series(1, $2) n, lateral (select ($1::text[])[1 + n % cardinality($1::text[])] as topic) t
             order by n
             returning id, topic, key, position",
        )
        .bind(topics)
        .bind(events)
        .bind(payload_bytes)
        .fetch_all(&mut connection)
        .await?;
        for (id, topic, key, number) in rows {
            journal.record(
                Fact {
                    id,
                    topic,
                    key,
                    number,
                },
                Outcome::Committed,
            );
        }
    }
    connection.close().await?;
    Ok(journal)
}
