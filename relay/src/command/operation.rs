//! `outbox-relay operation`: what operators asked for, how far it is, and stopping it.
//!
//! An operation is carried out by the members of the consumer group, not by this process: whoever watches may go away.

use std::time::Duration;

use clap::Subcommand;
use outbox_core::dead_letter::{self, Operation, Stage};
use sqlx::{Connection as _, PgConnection};
use tokio::time::Instant;

use super::dead_letters::{count, moment};
use super::within;
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::output::{Output, table};
use crate::signal;

/// How often progress is looked at: the members look about once a second.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Standing still for longer is worth a word, once.
const PATIENCE: Duration = Duration::from_secs(10);

/// What to do with operations.
#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// List the newest operations with their progress
    Ls {
        /// List at most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
    },
    /// Show an operation
    Show {
        /// Its number
        number: i64,
        /// Show its progress until it is at rest
        #[arg(long)]
        watch: bool,
    },
    /// Put nothing more back; what was put back already goes on
    Cancel {
        /// Its number
        number: i64,
        /// Why, for the audit
        #[arg(long)]
        reason: String,
    },
    /// Let a cancelled operation go on with what it had not done
    Resume {
        /// Its number
        number: i64,
        /// Why, for the audit
        #[arg(long)]
        reason: String,
        /// Do not wait
        #[arg(long)]
        detach: bool,
    },
}

/// Does it.
///
/// # Errors
/// Postgres cannot be reached or refuses, or there is no such operation.
pub async fn run(config: &Config, arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    let mut connection = connect::connection(config, Role::Command).await?;
    let (operation, exit) = match arguments {
        Arguments::Ls { limit } => {
            let newest = async {
                let mut transaction = connection.begin().await?;
                Ok(dead_letter::operations(&mut transaction, *limit).await?)
            };
            let operations = within(config, "Postgres", newest).await?;
            output.write(&operations, |operations| list(operations))?;
            return Ok(Exit::Success);
        }
        Arguments::Show { number, watch: false } => {
            (read(config, &mut connection, *number).await?, Exit::Success)
        }
        Arguments::Show { number, watch: true } => follow(config, &mut connection, *number).await?,
        Arguments::Cancel { number, reason } => {
            let cancelled = async {
                let mut transaction = connection.begin().await?;
                dead_letter::cancel(&mut transaction, *number, reason).await?;
                Ok(transaction.commit().await?)
            };
            within(config, "Postgres", cancelled).await?;
            (read(config, &mut connection, *number).await?, Exit::Success)
        }
        Arguments::Resume {
            number,
            reason,
            detach,
        } => {
            let resumed = async {
                let mut transaction = connection.begin().await?;
                dead_letter::resume(&mut transaction, *number, reason).await?;
                Ok(transaction.commit().await?)
            };
            within(config, "Postgres", resumed).await?;
            match detach {
                true => (read(config, &mut connection, *number).await?, Exit::Success),
                false => follow(config, &mut connection, *number).await?,
            }
        }
    };
    output.write(&operation, page)?;
    Ok(exit)
}

/// How it stands now.
pub(super) async fn read(
    config: &Config,
    connection: &mut PgConnection,
    number: i64,
) -> Result<Operation, Failure> {
    // A transaction, also because a pooler gives the steps of a statement to several servers otherwise.
    let read = async {
        let mut transaction = connection.begin().await?;
        let found = dead_letter::operation(&mut transaction, number).await?;
        transaction.commit().await?;
        found.ok_or_else(|| {
            Failure::error(format!(
                "there is no operation {number}; outbox-relay operation ls shows those that are"
            ))
        })
    };
    within(config, "Postgres", read).await
}

/// Tells on standard error how it goes, until nothing more happens or a signal comes; the operation goes on regardless.
pub(super) async fn follow(
    config: &Config,
    connection: &mut PgConnection,
    number: i64,
) -> Result<(Operation, Exit), Failure> {
    let stop = signal::stop_token()?;
    let mut last: Option<Operation> = None;
    let mut moved = Some(Instant::now());
    loop {
        let operation = read(config, connection, number).await?;
        if last.as_ref() != Some(&operation) {
            eprint!("{}", line(&operation));
            moved = Some(Instant::now());
        } else if moved.is_some_and(|at| at.elapsed() > PATIENCE) {
            eprintln!(
                "nothing moved for {} s; does a member of consumer {} run? outbox-relay status shows its streams",
                PATIENCE.as_secs(),
                operation.consumer
            );
            moved = None;
        }
        if operation.is_at_rest() {
            let exit = outcome(&operation);
            return Ok((operation, exit));
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => last = Some(operation),
            () = stop.cancelled() => {
                eprintln!(
                    "the operation goes on without this command; outbox-relay operation cancel {number} --reason … ends it, \
                     operation show {number} --watch looks again"
                );
                return Ok((operation, Exit::Partial));
            }
        }
    }
}

/// Everything had its effect, or not.
fn outcome(operation: &Operation) -> Exit {
    if operation.dead > 0 {
        eprintln!(
            "{} died again; outbox-relay dead-letters groups shows of what",
            count(operation.dead, "letter")
        );
    }
    match operation.state {
        Stage::Finished if operation.dead == 0 => Exit::Success,
        _ => Exit::Partial,
    }
}

/// Progress in one line.
pub(super) fn line(operation: &Operation) -> String {
    let state = match operation.state {
        Stage::Running => "runs",
        Stage::Cancelled => "is cancelled",
        Stage::Finished => "is finished",
    };
    format!(
        "operation {} {state}: {} of {} done ({} applied, {} died again, {} dropped), {} going back, {} waiting\n",
        operation.number,
        operation.done(),
        operation.total,
        operation.applied,
        operation.dead,
        operation.dropped,
        operation.released,
        operation.waiting,
    )
}

fn page(operation: &Operation) -> String {
    let rate = operation.rate.map_or_else(
        || "as fast as they are applied".to_owned(),
        |rate| format!("{rate} per second"),
    );
    let finished = operation
        .finished_at
        .map_or_else(String::new, |at| format!(", finished {}", moment(at)));
    format!(
        "{}  {} of consumer {}, {rate}\n  by {}: {}\n  of {}\n  asked for {}{finished}\n",
        line(operation),
        operation.kind,
        operation.consumer,
        operation.actor,
        operation.reason,
        operation.filter,
        moment(operation.created_at),
    )
}

fn list(operations: &[Operation]) -> String {
    if operations.is_empty() {
        return "no operations\n".to_owned();
    }
    let rows: Vec<Vec<String>> = operations
        .iter()
        .map(|operation| {
            vec![
                operation.number.to_string(),
                operation.kind.clone(),
                operation.consumer.clone(),
                format!("{:?}", operation.state).to_lowercase(),
                format!("{} of {}", operation.done(), operation.total),
                operation.dead.to_string(),
                moment(operation.created_at),
                operation.actor.clone(),
                operation.reason.clone(),
            ]
        })
        .collect();
    table(
        &[
            "NUMBER",
            "KIND",
            "CONSUMER",
            "STATE",
            "DONE",
            "DIED AGAIN",
            "ASKED FOR",
            "BY",
            "REASON",
        ],
        &rows,
    )
}
