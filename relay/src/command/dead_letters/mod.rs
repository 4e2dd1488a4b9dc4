//! `outbox-relay dead-letters`: what a consumer gave up, by what went wrong, and what a person decides about it.
//!
//! `DATABASE_URL` is the consumer's database. A redrive is written there and carried out by the members of the group.

mod selection;

mod look;

mod page;

mod preview;

mod refusal;

mod redrive;

mod change;

mod export;

use clap::Subcommand;

pub(super) use self::page::{count, moment};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// What went wrong, by type, class of error and its text: where to begin
    Groups(look::Groups),
    /// List dead letters
    List(look::List),
    /// Show a dead letter whole: the event, the error, every attempt
    Show(look::Show),
    /// Put dead letters back, in their order and before what waits behind them
    Redrive(redrive::Redrive),
    /// Give a dead letter other data; what came is kept
    Edit(change::Edit),
    /// Give dead letters up for good; what waits behind them goes on
    Discard(change::Discard),
    /// Write dead letters as NDJSON, one to a line, with event, error and attempts
    Export(export::Export),
}

/// Does it.
///
/// # Errors
/// Postgres cannot be reached or refuses, nothing matches, or what would change much was not confirmed (exit code 4).
pub async fn run(config: &Config, arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    match arguments {
        Arguments::Groups(groups) => look::groups(config, groups, output).await,
        Arguments::List(list) => look::list(config, list, output).await,
        Arguments::Show(show) => look::show(config, show, output).await,
        Arguments::Redrive(redrive) => redrive::run(config, redrive, output).await,
        Arguments::Edit(edit) => change::edit(config, edit, output).await,
        Arguments::Discard(discard) => change::discard(config, discard, output).await,
        Arguments::Export(export) => export::run(config, export).await,
    }
}
