//! What Redis must be like, and what is beside the streams there.

use outbox_core::ops;
use outbox_core::ops::check::{self, Check, LogFacts};
use outbox_core::publish::redis::{Limits, RedisSink};
use outbox_core::publish::stream::StreamName;
use outbox_core::publish::{Marked, Sink as _};
use outbox_core::tail::StreamId;
use sqlx::Connection as _;

use super::{Seen, now};
use crate::compose::replicas;
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::Failure;

/// Everything about it; returns the seconds that its clock is ahead of ours.
pub(super) async fn redis(
    config: &Config,
    seen: &Seen,
    checks: &mut Vec<Check>,
) -> Result<Option<f64>, Failure> {
    let mut connection = connect::redis_connection(config).await?;
    let before = now();
    let facts = ops::redis_facts(&mut connection, &config.redis.prefix).await?;
    let offset = facts.clock.map(|clock| clock - (before + now()) / 2.0);
    checks.extend(check::redis(&facts));
    checks.extend(replicated(config).await);
    if let Some(log) = &seen.log {
        match marks(config, log, &seen.streams).await {
            Ok((marks, unknown)) => checks.push(check::marks(log, &marks, &unknown)),
            Err(error) => checks.push(Check::found(
                "log.marks",
                error.to_string(),
                "whether the streams are of this database is not known",
                "mend what the server says",
            )),
        }
    }
    Ok(offset)
}

/// Whether replicas have in time what is written, where `publish.min_replicas` asks for it.
async fn replicated(config: &Config) -> Option<Check> {
    const NAME: &str = "redis.replicas";
    let replicas = replicas(config)?;
    let count = replicas.count;
    let limits = Limits {
        replicas: Some(replicas),
        ..limits(config)
    };
    let sink = RedisSink::new(connect::redis(config).ok()?, limits);
    Some(match sink.connect().await {
        Ok(_) => Check::passed(NAME, format!("{count} have in time what is written")),
        Err(error) => Check::found(
            NAME,
            error.to_string(),
            "a relay that waits for them delivers nothing, and is not ready",
            error.advice(),
        ),
    })
}

fn limits(config: &Config) -> Limits {
    Limits {
        connect: config.redis.connect_timeout,
        answer: config.redis.response_timeout,
        ..Limits::default()
    }
}

/// The marks beside the streams, and which of their batches the ledger does not know.
async fn marks(
    config: &Config,
    log: &LogFacts,
    streams: &[StreamId],
) -> Result<(Vec<(String, Marked)>, Vec<u64>), Failure> {
    let names = StreamName::new(&config.redis.prefix, log.writer.clone());
    let keys: Vec<String> = streams.iter().map(|stream| names.mark(stream)).collect();
    if keys.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let sink = RedisSink::new(connect::redis(config)?, limits(config));
    let connection = sink
        .connect()
        .await
        .map_err(|error| Failure::error(error.to_string()))?;
    let marks = connection
        .marks(&keys)
        .await
        .map_err(|error| Failure::error(error.to_string()))?;
    let batches: Vec<u64> = marks
        .iter()
        .filter_map(|marked| match marked {
            Marked::By(mark) => Some(mark.batch_id),
            Marked::Never | Marked::Unreadable(_) => None,
        })
        .collect();
    let mut postgres = connect::connection(config, Role::Report).await?;
    let unknown = ops::unknown_batches(&mut postgres, &batches).await?;
    postgres.close().await?;
    Ok((keys.into_iter().zip(marks).collect(), unknown))
}
