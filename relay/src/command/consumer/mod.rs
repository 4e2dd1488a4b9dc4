//! `outbox-relay consumer`: consumer groups of this database, how far they are behind, and what a person does to them.

mod list;

mod change;

mod seek;

use clap::{Args, Subcommand};

use crate::config::{Config, Need};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// What to do with consumers.
#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// List the consumer groups: state, members, lag, what waits, and why
    Ls,
    /// Show one group: its streams, who applies each, its lag, how long it remembers ids
    Show(Group),
    /// Apply nothing new until the group is resumed
    Pause(Change),
    /// Let a paused group go on
    Resume(Change),
    /// Take a stream away from a member that is stuck, so that another one takes over
    Claim(Claim),
    /// Let a group pass an entry that is missing on a stream: it is given up, and what waits for it is applied
    PassHole(PassHole),
    /// Keep nothing more for a group that will not come back: days of the inbox no longer stay for it
    Forget(Forget),
    /// Let a group read a topic again from an earlier place; without --yes say what would happen
    Seek(seek::Arguments),
}

/// Which group.
#[derive(Debug, Args)]
pub struct Group {
    /// The consumer group
    #[arg(long)]
    group: String,
}

/// What to change, and why.
#[derive(Debug, Args)]
pub struct Change {
    /// The consumer group
    #[arg(long)]
    group: String,
    /// Why, for the audit
    #[arg(long)]
    reason: String,
}

/// What to take away, and why.
#[derive(Debug, Args)]
pub struct Claim {
    /// The consumer group
    #[arg(long)]
    group: String,
    /// The stream, as `consumer show` names it
    #[arg(long)]
    stream: String,
    /// Why, for the audit
    #[arg(long)]
    reason: String,
}

/// Which hole to pass, and why.
#[derive(Debug, Args)]
pub struct PassHole {
    /// The consumer group
    #[arg(long)]
    group: String,
    /// The stream, as `consumer show` names it
    #[arg(long)]
    stream: String,
    /// The entry that is held, as the consumer's standing and outbox_ops.holes name it
    #[arg(long, value_name = "ENTRY")]
    entry: String,
    /// Why, for the audit
    #[arg(long)]
    reason: String,
    /// Really
    #[arg(long)]
    yes: bool,
}

/// Which group is gone, and why.
#[derive(Debug, Args)]
pub struct Forget {
    /// The consumer group
    #[arg(long)]
    group: String,
    /// Why, for the audit
    #[arg(long)]
    reason: String,
    /// Give up its open dead letters and parked events, for good
    #[arg(long)]
    give_up: bool,
    /// Really
    #[arg(long)]
    yes: bool,
}

impl Arguments {
    /// What the configuration must hold. Without Redis the lag is unknown, and the rest is shown.
    #[must_use]
    pub fn needs(&self) -> &'static [Need] {
        match self {
            Self::Seek(_) => &[Need::Postgres, Need::Redis],
            _ => &[Need::Postgres],
        }
    }
}

/// Does it.
///
/// # Errors
/// Postgres cannot be reached, or refuses (exit code 4).
pub async fn run(config: &Config, arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    match arguments {
        Arguments::Ls => list::list(config, output).await,
        Arguments::Show(which) => list::show(config, &which.group, output).await,
        Arguments::Pause(what) => change::pause(config, &what.group, &what.reason, output).await,
        Arguments::Resume(what) => change::resume(config, &what.group, &what.reason, output).await,
        Arguments::Seek(what) => seek::run(config, what, output).await,
        Arguments::Forget(what) => change::forget(config, what, output).await,
        Arguments::PassHole(what) => change::pass_hole(config, what, output).await,
        Arguments::Claim(what) => {
            change::claim(config, &what.group, &what.stream, &what.reason, output).await
        }
    }
}
