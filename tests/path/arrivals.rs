//! Waiting for entries, woken by Redis.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::{StreamReadOptions, StreamReadReply};
use system_tests::stream::{Entry, entries};
use system_tests::{Failure, Result};

/// Nothing on a test machine takes this long.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// The entries of a stream as soon as there are `count` of them.
pub(crate) async fn arrived(
    redis: &mut MultiplexedConnection,
    stream: &str,
    count: usize,
) -> Result<Vec<Entry>> {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        let found = entries(redis, stream).await?;
        if found.len() >= count {
            return Ok(found);
        }
        if tokio::time::Instant::now() > deadline {
            return Err(Failure::new(format!(
                "{} of {count} entries on {stream} within {LIMIT:?}",
                found.len()
            )));
        }
        // Returns at once with what came since, or after 300 ms with nothing.
        let after = found
            .last()
            .map_or("0-0".to_owned(), |entry| entry.id.to_string());
        let options = StreamReadOptions::default().block(300).count(1);
        let _: Option<StreamReadReply> =
            redis::AsyncCommands::xread_options(redis, &[stream], &[after.as_str()], &options).await?;
    }
}
