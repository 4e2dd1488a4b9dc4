//! `stream append`: one event, at the version that is expected.

use std::io::Read as _;

use clap::Args;
use outbox_core::append::NewEvent;
use outbox_core::event_store::{self, Expected, Outcome, StreamName};
use serde_json::json;
use sqlx::Connection as _;
use uuid::Uuid;

use super::{failed, name};
use crate::command::within;
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// What to append.
#[derive(Debug, Args)]
pub struct Append {
    /// The stream, as order-7
    #[arg(value_parser = name)]
    stream: StreamName,
    /// What happened
    #[arg(long = "type", value_name = "TYPE")]
    event_type: String,
    /// Where the stream must be: a version, none, exists, or any
    #[arg(long, value_name = "VERSION", value_parser = expected)]
    expected: Expected,
    /// The payload as JSON; - reads it from standard input
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// Publish it to this topic, whatever the routes say
    #[arg(long, conflicts_with = "private")]
    topic: Option<String>,
    /// Publish it nowhere, whatever the routes say
    #[arg(long)]
    private: bool,
    /// What it concerns besides the stream, as course:42; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// An id of its own, so that the same command again appends nothing
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,
}

fn expected(text: &str) -> Result<Expected, String> {
    match text {
        "any" => Ok(Expected::Any),
        "none" => Ok(Expected::NoStream),
        "exists" => Ok(Expected::Exists),
        text => text
            .parse()
            .map(Expected::Version)
            .map_err(|_| "must be a version, none, exists, or any".to_owned()),
    }
}

/// Appends.
///
/// # Errors
/// Postgres cannot be reached or refuses; exit code 4 when the stream is not where it was expected.
pub async fn run(config: &Config, append: Append, output: Output) -> Result<Exit, Failure> {
    let (stream, wanted) = (append.stream.clone(), append.expected);
    let event = event(append)?;
    let id = event.event_id();
    let mut connection = connect::connection(config, Role::Command).await?;
    let asked = async {
        let mut transaction = connection.begin().await?;
        let outcome = event_store::append(&mut transaction, &stream, wanted, vec![event])
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(|error| {
            let said = connect::describe_sqlx(&error);
            Failure::error(format!(
                "the commit was not answered, so that it may be there or not: {said}. Run it again with --id {id}: what is there is not \
                 appended again"
            ))
        })?;
        Ok(outcome)
    };
    let outcome = within(config, "Postgres", asked).await?;
    connection.close().await?;
    let (word, version, position) = match outcome {
        Outcome::Appended { version, positions } => ("appended", version, positions),
        Outcome::AlreadyAppended { version, positions } => ("already appended", version, positions),
        Outcome::Conflict { actual } => {
            return Err(Failure::new(
                Exit::Refused,
                format!(
                    "stream {stream} is at version {actual}, and {wanted} was expected: nothing was appended. Read what came \
                     meanwhile (stream read {stream}), and decide again"
                ),
            ));
        }
    };
    let report = json!({
        "stream": stream.as_str(), "outcome": word, "version": version, "id": id, "position": position.first(),
    });
    output.write(&report, |_| {
        format!("{word}: {id}, version {version} of {stream}\n")
    })?;
    Ok(Exit::Success)
}

fn event(append: Append) -> Result<NewEvent, Failure> {
    let mut event = NewEvent::stored(append.event_type);
    if let Some(topic) = append.topic {
        event = event.publish_to(topic);
    }
    if append.private {
        event = event.private();
    }
    if let Some(id) = append.id {
        event = event.id(id);
    }
    for tag in append.tags {
        event = event.tag(tag);
    }
    Ok(match append.data.as_deref() {
        None => event,
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|error| {
                Failure::new(
                    Exit::Usage,
                    format!("standard input cannot be read as text: {error}"),
                )
            })?;
            event.json_text(text)
        }
        Some(text) => event.json_text(text),
    })
}
