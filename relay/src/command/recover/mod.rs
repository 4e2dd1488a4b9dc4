//! `outbox-relay recover`: what a person does after one of the two ends lost data.

mod reissue;

use clap::Subcommand;

use crate::config::{Config, Need};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// What to recover.
#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// Put a topic's streams out again from a place on; without --yes say what would happen
    Reissue(reissue::Arguments),
}

impl Arguments {
    /// What the configuration must hold.
    #[must_use]
    pub fn needs(&self) -> &'static [Need] {
        match self {
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
        Arguments::Reissue(what) => reissue::run(config, what, output).await,
    }
}
