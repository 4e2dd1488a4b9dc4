//! Reads what a Redis is like and what we may do there.

use redis::aio::ConnectionLike;
use redis::{Cmd, FromRedisValue, RedisResult};

use super::Error;
use super::check::RedisFacts;

/// What the server is, how it is set, and what our user may do with keys that begin with `prefix`.
///
/// # Errors
/// The server does not answer, or may not be asked.
pub async fn redis_facts<C: ConnectionLike>(connection: &mut C, prefix: &str) -> Result<RedisFacts, Error> {
    let info: String = ask(connection, redis::cmd("INFO"))
        .await
        .map_err(|error| Error::redis("INFO", error))?;
    let (seconds, micros): (u64, u32) = ask(connection, redis::cmd("TIME"))
        .await
        .map_err(|error| Error::redis("TIME", error))?;
    let mut facts = RedisFacts::from_info(&info);
    facts.clock = Some(seconds as f64 + f64::from(micros) / 1e6);
    facts.refusals = probe(connection, prefix).await;
    Ok(facts)
}

/// Tries what publishing does, without effect: no entry is added to a stream that does not exist. What the server
/// refuses, in its words.
async fn probe<C: ConnectionLike>(connection: &mut C, prefix: &str) -> Vec<String> {
    let stream = format!("{prefix}check.nothing");
    let mut add = redis::cmd("XADD");
    add.arg(&stream).arg("NOMKSTREAM").arg("*").arg("check").arg("1");
    let mut range = redis::cmd("XRANGE");
    range.arg(&stream).arg("-").arg("+").arg("COUNT").arg(1);
    let mut refusals = Vec::new();
    for (name, command) in [("XADD", &add), ("XRANGE", &range)] {
        if let Err(error) = ask::<redis::Value, _>(connection, command.clone()).await {
            refusals.push(format!("{name}: {error}"));
        }
    }
    let mut transaction = redis::pipe();
    transaction.atomic().add_command(range);
    if let Err(error) = transaction.query_async::<redis::Value>(connection).await {
        refusals.push(format!("MULTI: {error}"));
    }
    refusals
}

async fn ask<T: FromRedisValue, C: ConnectionLike>(connection: &mut C, command: Cmd) -> RedisResult<T> {
    command.query_async(connection).await
}
