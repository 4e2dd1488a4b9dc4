//! `outbox-relay migrate`: bring a database to the version of this binary.

use clap::Args;
use outbox_migrations::{Report, Set};
use serde_json::json;
use sqlx::Connection as _;

use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::output::{Output, table};

/// What to migrate.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only what a consumer's own database needs; without it, the log and the inbox
    #[arg(long)]
    inbox: bool,
}

/// Migrates the log and the inbox, or only the inbox.
///
/// # Errors
/// Postgres cannot be reached, refuses, or holds a newer or different schema (exit code 4).
pub async fn run(config: &Config, arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    let mut connection = connect::connection(config, Role::Command).await?;
    let sets: &[Set] = if arguments.inbox {
        &[Set::Inbox]
    } else {
        &[Set::Log, Set::Inbox]
    };
    let mut reports = Vec::new();
    for set in sets {
        #[cfg(feature = "crash-points")]
        if !reports.is_empty()
            && let Some(harm) = outbox_core::crash::reached(outbox_core::crash::MIGRATED_ONE_SET).await
        {
            return Err(Failure::error(harm.to_string()));
        }
        let migrated = match set {
            Set::Log => outbox_migrations::migrate_log(&mut connection).await,
            Set::Inbox => outbox_migrations::migrate_inbox(&mut connection).await,
        };
        reports.push(migrated.map_err(|error| {
            let exit = if error.is_refusal() {
                Exit::Refused
            } else {
                Exit::Error
            };
            Failure::new(exit, format!("{error}; {}", error.advice()))
        })?);
    }
    connection.close().await?;
    output.write(&json!(reports.iter().map(document).collect::<Vec<_>>()), |_| {
        text(&reports)
    })?;
    Ok(Exit::Success)
}

fn document(report: &Report) -> serde_json::Value {
    let applied: Vec<_> = report
        .applied
        .iter()
        .map(|step| json!({ "version": step.version, "name": step.name }))
        .collect();
    json!({ "set": report.set.word(), "version": report.version, "applied": applied })
}

fn text(reports: &[Report]) -> String {
    let row = |report: &Report| {
        let applied: Vec<String> = report
            .applied
            .iter()
            .map(|step| format!("{} {}", step.version, step.name))
            .collect();
        let applied = if applied.is_empty() {
            "nothing, it was current".to_owned()
        } else {
            applied.join(", ")
        };
        vec![report.set.word().to_owned(), report.version.to_string(), applied]
    };
    table(
        &["SCHEMA", "VERSION", "APPLIED"],
        &reports.iter().map(row).collect::<Vec<_>>(),
    )
}
