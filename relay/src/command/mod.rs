//! One file per command: its arguments, what it does, what it reports.

pub mod run;

pub mod consume;

pub mod migrate;

pub mod status;

pub mod check;

pub mod topic;

pub mod stream;

pub mod stream_rules;

pub mod projection;

pub mod consumer;

pub mod dead_letters;

pub mod operation;

pub mod trace;

pub mod recover;

pub mod config;

pub mod completions;

pub mod version;

use crate::config::Config;
use crate::exit::Failure;

/// Bounds a question to a server: a socket that died silently must not hold a command for ever.
async fn within<T>(
    config: &Config,
    what: &str,
    asked: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let limit = config.postgres.query_timeout;
    let late = |_| {
        Failure::error(format!(
            "{what}: no answer within {} s; is the server or the network stuck?",
            limit.as_secs()
        ))
    };
    tokio::time::timeout(limit, asked).await.map_err(late)?
}

pub mod demo;
