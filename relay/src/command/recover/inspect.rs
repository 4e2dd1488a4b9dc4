//! `outbox-relay recover inspect`: what differs between the database and the streams, and what could be done. Changes nothing.

use clap::Args;
use outbox_core::publish::recover::{self, Found, MarkFinding, StreamFinding};
use serde_json::json;

use super::ends;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::output::{Output, table};

/// How much to tell.
#[derive(Debug, Args)]
pub struct Arguments {
    /// How many entries of each stream that the database does not know are told one by one
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    list: u16,
}

/// Exit code 4 where a relay refuses, or there is something to decide.
pub(super) async fn run(config: &Config, arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    let found = recover::inspect::inspect(&ends(config)?, usize::from(arguments.list))
        .await
        .map_err(|error| Failure::error(format!("{error}; {}", error.advice())))?;
    let choices = recover::choices(&found);
    let report = json!({ "found": found, "choices": choices });
    output.write(&report, |_| text(&found))?;
    let agrees = choices
        .iter()
        .any(|choice| choice.strategy == "trust-database" && choice.refusal.is_some());
    Ok(if agrees && found.server_refusal.is_none() {
        Exit::Success
    } else {
        Exit::Refused
    })
}

/// What was found, for people.
pub(super) fn text(found: &Found) -> String {
    let identity = &found.identity;
    let timeline = identity
        .timeline_now
        .map_or_else(|| "none (standby)".to_owned(), |timeline| timeline.to_string());
    let mut text = table(
        &["", "THEN", "NOW"],
        &[
            row("system identifier", identity.system_then, identity.system_now),
            row("timeline", identity.timeline_then, timeline),
            row(
                "next transaction",
                identity.next_transaction_then,
                identity.next_transaction_now,
            ),
        ],
    );
    text.push_str(&format!(
        "\nera {}; the ledger ends at batch {} (id {}); {} events are in no batch\npositions: the sequence is at {}, the highest on a stream is {}{}\n",
        identity.era,
        found.ledger_batch,
        found.ledger_batch_id,
        found.events_in_no_batch,
        found.sequence,
        found.highest_position_seen,
        if i64::try_from(found.highest_position_seen).unwrap_or(i64::MAX) > found.sequence {
            ": those between are used again"
        } else {
            ""
        }
    ));
    for why in found.server_refusal.iter().chain(&found.refused) {
        text.push_str(&format!("refused: {why}\n"));
    }
    for key in &found.layouts_ahead {
        text.push_str(&format!("{key} tells of more partitions than the ledger\n"));
    }
    for stream in &found.unknown_streams {
        text.push_str(&format!(
            "{stream} was published by this database, which does not know it\n"
        ));
    }
    if !found.searched {
        text.push_str("not all keys of Redis could be looked through: there may be more streams that this database does not know\n");
    }
    for who in &found.prepared {
        text.push_str(&format!("an era waits for {who}\n"));
    }
    if let Some(unfinished) = &found.unfinished {
        text.push_str(&format!(
            "recovery {} was begun with {} and not finished; {}\n",
            unfinished.number,
            unfinished.strategy,
            match (unfinished.batch_id.is_some(), unfinished.removing) {
                (true, _) => "its era is there".to_owned(),
                (_, true) => format!("it has begun to take {} entries off streams", unfinished.removed),
                _ => "it has taken nothing off".to_owned(),
            }
        ));
    }
    text.push('\n');
    text.push_str(&streams(found));
    for stream in &found.streams {
        text.push_str(&unknown(stream));
    }
    text.push('\n');
    for choice in recover::choices(found) {
        match choice.refusal {
            None => text.push_str(&format!("--strategy {}: {}\n", choice.strategy, choice.would)),
            Some(why) => text.push_str(&format!(
                "--strategy {} is not possible: {why}\n",
                choice.strategy
            )),
        }
    }
    text
}

fn row(name: &str, then: impl ToString, now: impl ToString) -> Vec<String> {
    vec![name.to_owned(), then.to_string(), now.to_string()]
}

fn streams(found: &Found) -> String {
    let id = |id: Option<outbox_core::event::EntryId>| id.map(|id| id.to_string()).unwrap_or_default();
    let rows: Vec<Vec<String>> = found
        .streams
        .iter()
        .map(|stream| {
            vec![
                stream.key.clone(),
                mark(&stream.mark),
                id(stream.top),
                id(stream.known),
                stream.unknown.count.to_string(),
                id(stream.unknown.first),
                id(stream.unknown.last),
            ]
        })
        .collect();
    table(
        &["STREAM", "MARK", "LAST", "LAST KNOWN", "UNKNOWN", "FROM", "TO"],
        &rows,
    )
}

fn mark(mark: &MarkFinding) -> String {
    match mark {
        MarkFinding::Absent => "none".to_owned(),
        MarkFinding::Known { batch_id } => format!("{batch_id}, known"),
        MarkFinding::Unknown { batch_id } => format!("{batch_id}, UNKNOWN"),
        MarkFinding::Moved { batch_id, .. } => format!("{batch_id}, of this database elsewhere"),
        MarkFinding::Foreign { database_id } => format!("of database {database_id}"),
        MarkFinding::Unreadable { why } => why.clone(),
    }
}

fn unknown(stream: &StreamFinding) -> String {
    if stream.unknown.count == 0 {
        return String::new();
    }
    let mut text = format!("\n{}: entries that the database does not know\n", stream.key);
    for entry in &stream.unknown.entries {
        text.push_str(&format!(
            "  {}  event {}  {}\n",
            entry.id,
            entry.event_id,
            entry.why.said()
        ));
    }
    for group in &stream.groups {
        text.push_str(&format!(
            "  group {} was delivered {} of them (it is at {}, {} pending)\n",
            group.name, group.unknown_read, group.delivered, group.pending
        ));
    }
    text
}
