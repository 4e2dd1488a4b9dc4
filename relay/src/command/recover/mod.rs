//! `outbox-relay recover`: what a person does after one of the two ends lost data.

mod abandon;

mod apply;

mod inspect;

mod reissue;

use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;
use outbox_core::publish::recover::inspect::Ends;
use outbox_core::publish::redis::{Limits, RedisSink};

use crate::compose;
use crate::config::{Config, Need};
use crate::connect;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// An era reads what is on no stream yet; after a long outage that is much. Appends do not wait for it.
const STATEMENT_LIMIT: Duration = Duration::from_secs(300);

/// What to recover.
#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// Look at the database and the streams where they do not agree, and say what could be done; changes nothing
    Inspect(inspect::Arguments),
    /// Choose which of the two is right, and open a new era; without --yes say what would happen
    Apply(apply::Arguments),
    /// Give up a recovery that was begun and cannot be finished; without --yes say what it did
    Abandon(abandon::Arguments),
    /// Put a topic's streams out again from a place on; without --yes say what would happen
    Reissue(reissue::Arguments),
}

impl Arguments {
    /// What the configuration must hold.
    #[must_use]
    pub fn needs(&self) -> &'static [Need] {
        match self {
            Self::Inspect(_) | Self::Apply(_) | Self::Abandon(_) => &[Need::Postgres, Need::Redis],
            Self::Reissue(_) => &[Need::Postgres],
        }
    }
}

/// Does it.
///
/// # Errors
/// A server cannot be reached, or it is refused (exit code 4).
pub async fn run(config: &Config, arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    match arguments {
        Arguments::Inspect(what) => inspect::run(config, what, output).await,
        Arguments::Apply(what) => apply::run(config, what, output).await,
        Arguments::Abandon(what) => abandon::run(config, what, output).await,
        Arguments::Reissue(what) => reissue::run(config, what, output).await,
    }
}

fn ends(config: &Config) -> Result<Ends, Failure> {
    let limits = Limits {
        connect: config.redis.connect_timeout,
        answer: config.redis.response_timeout,
        ..Limits::default()
    };
    Ok(Ends {
        dial: compose::dial(Arc::new(config.clone())),
        pooled: !config.postgres.listen,
        statement_limit: STATEMENT_LIMIT,
        sink: RedisSink::new(connect::redis(config)?, limits),
        prefix: config.redis.prefix.clone(),
    })
}
