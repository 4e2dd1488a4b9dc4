//! What a person decides about a topic's streams at the sink: how long entries stay, how many at most, and for whom they wait.

use clap::Args;
use outbox_core::ops::{self, View};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;

use crate::exit::{Exit, Failure};
use crate::output::{Output, cell, table};

/// How long entries stay, and how many.
#[derive(Debug, Args)]
pub struct Rules {
    /// How long entries stay on the streams at least, as an interval of Postgres ("3 days", "12 hours"), or `forever`
    #[arg(long, value_name = "INTERVAL")]
    pub stream_retention: Option<String>,
    /// Most entries on one stream, or `none`: the first ones above it are taken off, READ OR NOT
    #[arg(long, value_name = "ENTRIES", value_parser = cap)]
    pub stream_cap: Option<Cap>,
}

/// A hard cap; none for none.
#[derive(Clone, Copy, Debug)]
pub struct Cap(Option<i64>);

fn cap(text: &str) -> Result<Cap, String> {
    match text.parse() {
        _ if text == "none" => Ok(Cap(None)),
        Ok(entries) if entries > 0 => Ok(Cap(Some(entries))),
        _ => Err("must be a whole number above 0, or none, as in --stream-cap 1000000".to_owned()),
    }
}

/// Whom to wait for no longer.
#[derive(Debug, Args)]
pub struct ForgetGroup {
    /// The topic
    topic: String,
    /// The consumer group that will not come back
    #[arg(long)]
    group: String,
    /// Why, for the audit
    #[arg(long)]
    reason: String,
    /// Really
    #[arg(long)]
    yes: bool,
}

/// How long entries stay, none for ever, and how many at most.
pub type Ruled = (Option<String>, Option<i64>);

/// Sets what is given, and returns what holds then; none if nothing is given.
///
/// # Errors
/// Postgres refuses.
pub async fn set(
    connection: &mut PgConnection,
    topic: &str,
    rules: &Rules,
) -> Result<Option<Ruled>, Failure> {
    if rules.stream_retention.is_none() && rules.stream_cap.is_none() {
        return Ok(None);
    }
    let retention = rules
        .stream_retention
        .as_deref()
        .map(|text| (text != "forever").then_some(text));
    let cap = rules.stream_cap.map(|Cap(entries)| entries);
    Ok(Some(ops::set_stream(connection, topic, retention, cap).await?))
}

/// The same as a sentence.
#[must_use]
pub fn tell(retention: Option<&str>, cap: Option<i64>) -> String {
    let stays = retention.map_or_else(
        || "for ever".to_owned(),
        |retention| format!("for {retention} at least"),
    );
    let at_most = cap.map_or_else(String::new, |cap| {
        format!(", {cap} on each stream at most, read or not")
    });
    format!("entries stay on its streams {stays}{at_most}")
}

/// Lists the streams.
///
/// # Errors
/// The view cannot be read.
pub async fn list(connection: &mut PgConnection, output: Output) -> Result<(), Failure> {
    const COLUMNS: [&str; 8] = [
        "stream",
        "length",
        "memory_bytes",
        "first_entry",
        "floor",
        "held_by",
        "held_since",
        "lost_unread",
    ];
    let streams = ops::view(connection, View::Streams).await?;
    output.write(&streams, |streams| {
        let rows: Vec<Vec<String>> = streams
            .iter()
            .map(|row| COLUMNS.iter().map(|column| cell(row, column)).collect())
            .collect();
        table(
            &COLUMNS.map(str::to_uppercase).each_ref().map(String::as_str),
            &rows,
        )
    })?;
    Ok(())
}

/// Unregisters a group. Without `--yes`: says what that would mean.
///
/// # Errors
/// `--yes` is missing (exit code 4), or the group is not registered.
pub async fn forget(
    connection: &mut PgConnection,
    forget: &ForgetGroup,
    output: Output,
) -> Result<(), Failure> {
    if !forget.yes {
        let groups = ops::view(connection, View::StreamGroups).await?;
        return Err(Failure::new(Exit::Refused, preview(&groups, forget)));
    }
    let streams = ops::forget_group(connection, &forget.topic, &forget.group, &forget.reason).await?;
    let report = json!({ "topic": forget.topic, "group": forget.group, "streams": streams });
    let said = format!(
        "{streams} stream(s) of topic {} no longer wait for group {}; if it reads on, they do again\n",
        forget.topic, forget.group
    );
    output.write(&report, |_| said)?;
    Ok(())
}

fn preview(groups: &[Map<String, Value>], forget: &ForgetGroup) -> String {
    let waiting: Vec<String> = groups
        .iter()
        .filter(|row| row["topic"] == forget.topic.as_str() && row["group_name"] == forget.group.as_str())
        .filter(|row| row["state"] != "forgotten")
        .map(|row| {
            format!(
                "{} ({}, last delivered {}, {} pending)",
                cell(row, "stream"),
                cell(row, "state"),
                cell(row, "last_delivered"),
                cell(row, "pending")
            )
        })
        .collect();
    if waiting.is_empty() {
        return format!(
            "group {} is not registered on a stream of topic {}",
            forget.group, forget.topic
        );
    }
    format!(
        "group {} is waited for by: {}. Forgotten, it may find entries trimmed that it has not read; give --yes to do it",
        forget.group,
        waiting.join(", ")
    )
}
