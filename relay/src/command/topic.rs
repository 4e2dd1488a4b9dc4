//! `outbox-relay topic`: what is kept for how long, and what a person decides about a stream that was set aside.

use clap::{Args, Subcommand};
use outbox_core::ops::{self, View};
use serde_json::{Map, Value, json};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::{stream_rules, within};
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::output::{Output, cell, table};

/// What to do with topics.
#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// List the streams of the topics: retention, how far each was published, which wait for a person
    List,
    /// List the streams as they are at the sink: length, how far trimmed, which group holds them
    Streams,
    /// Set a topic's retention class or number of partitions, or what holds for its streams
    Set(Set),
    /// Let a topic go on that was set aside, after its cause was mended
    Resume(Resume),
    /// Give up the one event that a topic waits at; it is kept in outbox.unpublished
    SkipEvent(SkipEvent),
    /// Unregister a consumer group that will not come back: the topic's streams wait for it no longer
    ForgetGroup(stream_rules::ForgetGroup),
}

/// What to set.
#[derive(Debug, Args)]
pub struct Set {
    /// The topic; * sets what holds for the streams of all topics without a setting of their own
    topic: String,
    /// A class of outbox.retention_class: standard (7 days), audit (400 days), durable (for ever)
    #[arg(long, required_unless_present_any = ["partitions", "stream_retention", "stream_cap"])]
    retention: Option<String>,
    /// How many partitions it has, 1 to 1024: keys are spread over as many streams, and order is kept per key. Only grows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=1024))]
    partitions: Option<i32>,
    #[command(flatten)]
    streams: stream_rules::Rules,
}

/// What to let go on.
#[derive(Debug, Args)]
pub struct Resume {
    /// The topic
    topic: String,
    /// The partition, where several of the topic wait
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..1024))]
    partition: Option<i32>,
    /// What was mended, for the audit
    #[arg(long)]
    reason: String,
}

/// What to give up.
#[derive(Debug, Args)]
pub struct SkipEvent {
    /// The topic
    topic: String,
    /// The partition, where several of the topic wait
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..1024))]
    partition: Option<i32>,
    /// The event it waits at, as `topic list` shows it
    #[arg(long, value_name = "ID")]
    event: Uuid,
    /// Why it is given up, for the audit
    #[arg(long)]
    reason: String,
    /// Really
    #[arg(long)]
    yes: bool,
}

/// Does it.
///
/// # Errors
/// Postgres cannot be reached or refuses, or `--yes` is missing (exit code 4).
pub async fn run(config: &Config, arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    if matches!(arguments, Arguments::List | Arguments::Streams) {
        let mut connection = connect::connection(config, Role::Report).await?;
        within(config, "Postgres", act(&mut connection, arguments, output)).await?;
        connection.close().await?;
        return Ok(Exit::Success);
    }
    let mut connection = connect::connection(config, Role::Command).await?;
    // One transaction, also because a pooler gives the steps of a statement to several servers otherwise.
    let mut transaction = connection.begin().await?;
    within(config, "Postgres", act(&mut transaction, arguments, output)).await?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(Exit::Success)
}

async fn act(connection: &mut PgConnection, arguments: &Arguments, output: Output) -> Result<(), Failure> {
    match arguments {
        Arguments::List => {
            let topics = ops::view(connection, View::Topics).await?;
            output.write(&topics, |topics| list(topics))?;
        }
        Arguments::Streams => stream_rules::list(connection, output).await?,
        Arguments::Set(set) => change(connection, set, output).await?,
        Arguments::ForgetGroup(forget) => stream_rules::forget(connection, forget, output).await?,
        Arguments::Resume(resume) => {
            let position =
                ops::resume_topic(connection, &resume.topic, resume.partition, &resume.reason).await?;
            let report = json!({ "topic": resume.topic, "position": position });
            output.write(&report, |_| format!("topic {} goes on\n", resume.topic))?;
        }
        Arguments::SkipEvent(skip) => {
            confirm(connection, skip).await?;
            let position =
                ops::skip_event(connection, &skip.topic, skip.partition, skip.event, &skip.reason).await?;
            let report = json!({ "topic": skip.topic, "event": skip.event, "position": position });
            let said = format!(
                "event {} of topic {} is given up and kept in outbox.unpublished at position {position}; the topic goes on\n",
                skip.event, skip.topic
            );
            output.write(&report, |_| said)?;
        }
    }
    Ok(())
}

async fn change(connection: &mut PgConnection, set: &Set, output: Output) -> Result<(), Failure> {
    let (mut report, mut said) = (json!({ "topic": set.topic }), format!("topic {}:", set.topic));
    if set.retention.is_some() || set.partitions.is_some() {
        let retention = set.retention.as_deref();
        let (retention, partitions) =
            ops::set_topic(connection, &set.topic, retention, set.partitions).await?;
        said.push_str(&format!(
            " retention {retention}, {partitions} partition(s); it holds for events appended from now on\n"
        ));
        report["retention"] = retention.into();
        report["partitions"] = partitions.into();
    }
    if let Some((retention, cap)) = stream_rules::set(connection, &set.topic, &set.streams).await? {
        said.push_str(&format!(" {}\n", stream_rules::tell(retention.as_deref(), cap)));
        report["stream_retention"] = retention.into();
        report["stream_cap"] = cap.into();
    }
    output.write(&report, |_| said)?;
    Ok(())
}

/// Without `--yes`: says what would be given up.
async fn confirm(connection: &mut PgConnection, skip: &SkipEvent) -> Result<(), Failure> {
    if skip.yes {
        return Ok(());
    }
    let topics = ops::view(connection, View::Topics).await?;
    let waiting = topics
        .iter()
        .filter(|row| row["topic"] == skip.topic.as_str() && row["state"] == "set_aside")
        .max_by_key(|row| row["event_id"] == skip.event.to_string());
    let seen = match waiting {
        None => format!("topic {} is not set aside", skip.topic),
        Some(row) => format!(
            "stream {} waits at event {} since {}: {}",
            cell(row, "stream"),
            cell(row, "event_id"),
            cell(row, "stopped_since"),
            cell(row, "reason")
        ),
    };
    Err(Failure::new(
        Exit::Refused,
        format!(
            "{seen}. Skipping means that consumers never get event {}; give --yes to do it",
            skip.event
        ),
    ))
}

fn list(topics: &[Map<String, Value>]) -> String {
    const COLUMNS: [&str; 6] = ["stream", "retention", "state", "last_entry", "event_id", "reason"];
    let rows: Vec<Vec<String>> = topics
        .iter()
        .map(|row| COLUMNS.iter().map(|column| cell(row, column)).collect())
        .collect();
    table(
        &COLUMNS.map(str::to_uppercase).each_ref().map(String::as_str),
        &rows,
    )
}
