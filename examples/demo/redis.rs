//! What the demo asks Redis: how long a stream is, and what is on it.

use std::time::Duration;

use outbox_core::event::envelope;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};

use super::audit::Step;
use crate::Result;
use crate::shop::Change;

const PAGE: usize = 1_000;
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// An entry: its id and its fields, name and value by turns.
type Entry = (String, Vec<Vec<u8>>);

pub(super) async fn open(url: &str) -> Result<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(Some(ANSWER_LIMIT))
        .set_connection_timeout(Some(ANSWER_LIMIT));
    Ok(Client::open(url)?
        .get_multiplexed_async_connection_with_config(&config)
        .await?)
}

pub(super) async fn exist(url: &str, keys: &[String]) -> Result<bool> {
    let count: u64 = redis::cmd("EXISTS")
        .arg(keys)
        .query_async(&mut open(url).await?)
        .await?;
    Ok(count > 0)
}

pub(super) async fn delete(url: &str, keys: &[String]) -> Result {
    Ok(redis::cmd("DEL")
        .arg(keys)
        .query_async(&mut open(url).await?)
        .await?)
}

/// Entries of a stream.
pub(super) async fn length(connection: &mut MultiplexedConnection, stream: &str) -> Result<u64> {
    Ok(redis::cmd("XLEN").arg(stream).query_async(connection).await?)
}

/// Which change of which order, in the order of the stream.
pub(super) async fn steps(url: &str, stream: &str) -> Result<Vec<Step>> {
    let mut connection = open(url).await?;
    let mut steps = Vec::new();
    let mut from = "-".to_owned();
    loop {
        let page: Vec<Entry> = redis::cmd("XRANGE")
            .arg(stream)
            .arg(&from)
            .arg("+")
            .arg("COUNT")
            .arg(PAGE)
            .query_async(&mut connection)
            .await?;
        let Some((last, _)) = page.last() else {
            return Ok(steps);
        };
        from = format!("({last}");
        for (id, fields) in page {
            let fields: Vec<(Vec<u8>, Vec<u8>)> = fields
                .chunks_exact(2)
                .map(|pair| (pair[0].clone(), pair[1].clone()))
                .collect();
            let event = envelope::decode_entry(&fields)
                .map_err(|error| format!("entry {id} is no event: {error}"))?;
            let change: Change = event
                .json()
                .map_err(|error| format!("entry {id} is no change of an order: {error}"))?;
            steps.push((change.order, change.step));
        }
    }
}
