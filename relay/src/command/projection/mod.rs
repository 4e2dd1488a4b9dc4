//! `outbox-relay projection`: the projections of the event store, how far each is, and what a person does to them.
//!
//! A rebuild is carried out by the processes that run the projection, not by this one: whoever watches may go away. Looking needs role
//! `outbox_observer`, deciding `outbox_operator`.

mod list;

mod change;

mod progress;

mod watch;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use outbox_core::ops;
use serde_json::{Map, Value};
use sqlx::PgConnection;

use super::within;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// A row of `outbox_ops.projections`.
type Row = Map<String, Value>;

const WATCH_EXITS: &str = "Exit codes with --watch: 0 what was built is live; 3 it is held and waits for a person; 4 nothing was done; \
                           5 it was cancelled or replaced by another one, or a signal ended the watching (the rebuild goes on).";

/// What to do with projections.
#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// List the projections, what lies before each, and what is being built
    Ls,
    /// Show a projection and its newest rebuild
    #[command(after_help = WATCH_EXITS)]
    Show {
        /// The projection
        name: String,
        /// Show the progress of its rebuild until it is at rest
        #[arg(long)]
        watch: bool,
    },
    /// Have a projection built anew beside the live one, compared with it, and put in its place
    #[command(after_help = WATCH_EXITS)]
    Rebuild(Build),
    /// Have a rebuild that is held tried again
    #[command(after_help = WATCH_EXITS)]
    Release(Build),
    /// End a rebuild: what was built is dropped, what is live stays
    Cancel(Decision),
    /// Apply nothing more of a projection until it is resumed; its rebuild is paused with it
    Pause(Change),
    /// Let a paused projection go on
    Resume(Change),
}

/// What to build, and why.
#[derive(Debug, Args)]
pub struct Build {
    #[command(flatten)]
    decision: Decision,
    /// Put it in place also where it differs from what is live: a mended handler is to differ
    #[arg(long)]
    accept_differences: bool,
    /// Show its progress until it is at rest
    #[arg(long)]
    watch: bool,
}

/// Of which projection, and why.
#[derive(Debug, Args)]
pub struct Decision {
    /// The projection
    name: String,
    /// Why, for the audit
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    reason: String,
}

/// What to pause or resume, and why.
#[derive(Debug, Args)]
pub struct Change {
    #[command(flatten)]
    decision: Decision,
    /// Only what is being built; what is live goes on
    #[arg(long)]
    rebuild: bool,
}

/// Does it.
///
/// # Errors
/// Postgres cannot be reached, or refuses (exit code 4).
pub async fn run(config: &Config, arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    match arguments {
        Arguments::Ls => list::list(config, output).await,
        Arguments::Show { name, watch } => list::show(config, name, *watch, output).await,
        Arguments::Rebuild(build) => change::rebuild(config, build, output).await,
        Arguments::Release(build) => change::release(config, build, output).await,
        Arguments::Cancel(decision) => change::cancel(config, decision, output).await,
        Arguments::Pause(change) => change::pause(config, change, output).await,
        Arguments::Resume(change) => change::resume(config, change, output).await,
    }
}

/// How it stands now.
async fn read(config: &Config, connection: &mut PgConnection, name: &str) -> Result<Row, Failure> {
    let asked = async { Ok(ops::projections(connection, Some(name)).await?) };
    within(config, "Postgres", asked).await?.pop().ok_or_else(|| {
        Failure::new(
            Exit::Refused,
            format!(
                "there is no projection {name}: one is known once a process has run it; outbox-relay projection ls shows them"
            ),
        )
    })
}
