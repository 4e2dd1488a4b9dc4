//! A log with so many events that nobody published, and the streams that they come to.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use sqlx::{Executor, PgConnection};
use system_tests::relay::RelayOptions;
use system_tests::{Database, Failure, Result, Schema, World};

use super::{LOOK_AGAIN, servers};

/// Longer than a cut of the largest log takes, and a takeover.
const STALLED: Duration = Duration::from_secs(120);
const TOPICS: [&str; 4] = ["backlog.a", "backlog.b", "backlog.c", "backlog.d"];
/// Rows of one transaction.
const AT_ONCE: u64 = 100_000;
/// Entries of one page when they are checked.
const PAGE: usize = 5_000;
/// With the payload's other bytes about 200.
const FILLING_BYTES: i32 = 150;

const FILL: &str = "
    insert into outbox.log (retention, topic, key, id, source, type, data)
    select 'standard', topic, 'key-' || n % 1000, gen_random_uuid(), '/bench', topic,
           json_build_object('number', n, 'filling', repeat('x', $4))
    from generate_series($1::bigint, $2::bigint) n, lateral (select ($3::text[])[1 + n % 4] as topic) t
    order by n";

/// Where events are behind, and where they go.
pub(super) struct Log {
    rows: u64,
    database_url: String,
    redis_url: String,
    redis: MultiplexedConnection,
    /// Of a log that is not the world's own.
    _database: Option<Database>,
}

impl Log {
    /// The world's own log.
    pub(super) async fn large(world: &World, rows: u64) -> Result<Self> {
        Self::fill(world.database_url(), world.redis_url().to_owned(), rows, None).await
    }

    /// Another one beside it, in a database of its own, with an empty database of Redis.
    pub(super) async fn small(world: &World, rows: u64) -> Result<Self> {
        let database = world.another_database(Schema::Log).await?;
        let beside = world
            .redis_url()
            .strip_suffix("/0")
            .map(|server| format!("{server}/1"));
        let beside = beside.ok_or_else(|| Failure::new("the world's streams are not in database 0"))?;
        let url = database.url().to_owned();
        let mut log = Self::fill(&url, beside, rows, Some(database)).await?;
        redis::cmd("FLUSHDB")
            .arg("SYNC")
            .query_async::<()>(&mut log.redis)
            .await?;
        Ok(log)
    }

    async fn fill(
        database_url: &str,
        redis_url: String,
        rows: u64,
        database: Option<Database>,
    ) -> Result<Self> {
        let mut connection = <PgConnection as sqlx::Connection>::connect(database_url).await?;
        for first in (0..rows).step_by(usize::try_from(AT_ONCE)?) {
            sqlx::query(FILL)
                .bind(i64::try_from(first)?)
                .bind(i64::try_from(rows.min(first + AT_ONCE) - 1)?)
                .bind(TOPICS.as_slice())
                .bind(FILLING_BYTES)
                .execute(&mut connection)
                .await?;
        }
        // What a server does by itself with a log that is behind for long, and what would otherwise be done in the middle of a slice.
        connection.execute("vacuum (analyze) outbox.log").await?;
        connection.execute("checkpoint").await?;
        let redis = redis::Client::open(redis_url.as_str())?
            .get_multiplexed_async_connection_with_config(
                &redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(60))),
            )
            .await?;
        Ok(Self {
            rows,
            database_url: database_url.to_owned(),
            redis_url,
            redis,
            _database: database,
        })
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// As people run it.
    pub(super) fn relay(&self) -> RelayOptions {
        servers::relay(&self.database_url, &self.redis_url)
    }

    /// Entries on all streams.
    pub(super) async fn published(&self) -> Result<u64> {
        let mut lengths = redis::pipe();
        for topic in TOPICS {
            lengths.cmd("XLEN").arg(stream(topic));
        }
        let lengths: [u64; 4] = lengths.query_async(&mut self.redis.clone()).await?;
        Ok(lengths.iter().sum())
    }

    /// Waits until there are so many, and says how many there were then. Fails when there is nothing new for too long.
    pub(super) async fn wait_for(&self, entries: u64) -> Result<u64> {
        let (mut before, mut since) = (0, Instant::now());
        loop {
            let published = self.published().await?;
            if published >= entries {
                return Ok(published);
            }
            if published > before {
                (before, since) = (published, Instant::now());
            } else if since.elapsed() > STALLED {
                return Err(Failure::new(format!(
                    "{published} of {entries} events are published, and nothing more for {STALLED:?}"
                )));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Each event is on its stream, once and in its order.
    pub(super) async fn check(&mut self) -> Result {
        for (place, topic) in TOPICS.into_iter().enumerate() {
            let mut expected = (place as u64..self.rows).step_by(TOPICS.len());
            let mut after = "-".to_owned();
            loop {
                let page: StreamRangeReply = redis::cmd("XRANGE")
                    .arg(stream(topic))
                    .arg(&after)
                    .arg("+")
                    .arg("COUNT")
                    .arg(PAGE)
                    .query_async(&mut self.redis)
                    .await?;
                let Some(last) = page.ids.last() else { break };
                after = format!("({}", last.id);
                for entry in &page.ids {
                    let event: String = entry.get("event").unwrap_or_default();
                    let (found, next) = (number(&event), expected.next());
                    if found != next || found.is_none() {
                        return Err(Failure::new(format!(
                            "{topic}: entry {} has event {found:?} and not {next:?}",
                            entry.id
                        )));
                    }
                }
            }
            if let Some(missing) = expected.next() {
                return Err(Failure::new(format!("{topic}: event {missing} is missing")));
            }
        }
        Ok(())
    }
}

fn stream(topic: &str) -> String {
    format!("outbox:{topic}")
}

/// Pure. The number in a payload, without reading the rest of it.
fn number(event: &str) -> Option<u64> {
    let (_, behind) = event.split_once("\"number\"")?;
    let digits = behind.trim_start_matches([' ', ':']);
    let end = digits.find(|letter: char| !letter.is_ascii_digit())?;
    digits[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn the_number_is_found_however_it_is_written() {
        assert_eq!(
            number(r#"{"id":"7","data":{"number" : 42, "filling" : "x"}}"#),
            Some(42)
        );
        assert_eq!(number(r#"{"data":{"number":5}}"#), Some(5));
        assert_eq!(number(r#"{"data":{}}"#), None);
    }
}
