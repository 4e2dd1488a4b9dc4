//! `outbox-relay status`: the operators' views, for people or for programs. Exit code 3 when work does not move as it should.

use outbox_core::ops::{self, Halves, View};
use serde_json::{Map, Value};

use super::within;
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::output::{Output, table};

/// One row of a view.
type Row = Map<String, Value>;

/// Prints the views that are in this database.
///
/// # Errors
/// Postgres cannot be reached, or neither half of the schema is there.
pub async fn run(config: &Config, output: Output) -> Result<Exit, Failure> {
    let (halves, views) = within(config, "the views", read(config)).await?;
    let verdict = views
        .get("summary")
        .and_then(|rows| text(rows.as_array()?.first()?.as_object()?, "verdict"));
    output.write(&views, |views| page(halves, views))?;
    let is_harmed = rows(&views, "causes").iter().any(|row| row["severity"] != "note");
    Ok(match verdict.as_deref() {
        None | Some("ok") if !is_harmed => Exit::Success,
        _ => Exit::Degraded,
    })
}

async fn read(config: &Config) -> Result<(Halves, Row), Failure> {
    let mut connection = connect::connection(config, Role::Report).await?;
    let halves = ops::halves(&mut connection).await?;
    if !halves.log && !halves.inbox {
        return Err(Failure::error(
            "this database has neither the log nor the inbox; outbox-relay migrate makes both, migrate --inbox the inbox",
        ));
    }
    let mut views = Row::new();
    for view in View::ALL.into_iter().filter(|view| view.is_in(halves)) {
        let rows = ops::view(&mut connection, view).await?;
        views.insert(
            view.name().to_owned(),
            Value::Array(rows.into_iter().map(Value::Object).collect()),
        );
    }
    Ok((halves, views))
}

fn page(halves: Halves, views: &Row) -> String {
    let mut page = String::new();
    if halves.log {
        rows(views, "summary")
            .first()
            .into_iter()
            .for_each(|summary| page.push_str(&headline(summary)));
        let causes = rows(views, "causes");
        let columns = ["severity", "cause", "subject", "since", "reason"];
        page.push_str(&section("CAUSES", &causes, &columns));
        let sections: [(&str, &str, &[&str]); 4] = [
            (
                "BACKLOG",
                "backlog",
                &["stream", "events", "exact", "oldest_age_seconds"],
            ),
            (
                "RELAYS",
                "relays",
                &["instance", "version", "live", "state", "leases", "reason"],
            ),
            (
                "WAITING TRANSACTIONS",
                "waiting_transactions",
                &[
                    "pid",
                    "kind",
                    "user_name",
                    "application",
                    "state",
                    "age_seconds",
                    "holds_back",
                ],
            ),
            (
                "BATCHES",
                "batches",
                &["number", "batch_id", "kind", "event_count", "epoch", "cut_at"],
            ),
        ];
        let aside: Vec<&Row> = rows(views, "topics")
            .into_iter()
            .filter(|row| row["state"] == "set_aside" || row["state"] == "blocked" || row["state"] == "lost")
            .collect();
        page.push_str(&section(
            "STOPPED",
            &aside,
            &["stream", "state", "event_id", "stopped_since", "reason"],
        ));
        page.push_str(&at_the_sink(views));
        for (title, view, columns) in sections {
            let shown: Vec<&Row> = rows(views, view).into_iter().take(10).collect();
            page.push_str(&section(title, &shown, columns));
        }
    }
    if halves.inbox {
        page.push_str(&section(
            "CONSUMERS",
            &rows(views, "inbox"),
            &[
                "consumer",
                "stream",
                "holder",
                "lease",
                "passed_entry",
                "failing",
                "dead_letters",
            ],
        ));
        page.push_str(&section(
            "DEAD LETTERS",
            &rows(views, "dead_letters"),
            &[
                "consumer",
                "fingerprint",
                "type",
                "error_class",
                "events",
                "waiting_events",
                "last_at",
            ],
        ));
    }
    page
}

/// What is not as it should be at the sink.
fn at_the_sink(views: &Row) -> String {
    let held: Vec<&Row> = rows(views, "streams")
        .into_iter()
        .filter(|row| !row["held_by"].is_null() || row["lost_unread"] != 0)
        .take(10)
        .collect();
    let columns = [
        "stream",
        "length",
        "first_entry",
        "held_by",
        "held_since",
        "lost_unread",
    ];
    let mut text = section("STREAMS THAT ARE HELD OR LOST UNREAD ENTRIES", &held, &columns);
    let holes: Vec<&Row> = rows(views, "holes").into_iter().take(10).collect();
    let columns = [
        "stream",
        "group_name",
        "missing",
        "state",
        "published",
        "events",
        "reason",
    ];
    text.push_str(&section("HOLES", &holes, &columns));
    let running: Vec<&Row> = rows(views, "reissues")
        .into_iter()
        .filter(|row| row["state"] == "running")
        .take(10)
        .collect();
    let columns = [
        "stream",
        "kept",
        "published",
        "events",
        "remaining_seconds",
        "asked_by",
        "cut_at",
    ];
    text.push_str(&section("STREAMS THAT ARE PUT OUT AGAIN", &running, &columns));
    let losses: Vec<&Row> = rows(views, "losses").into_iter().take(10).collect();
    let columns = [
        "stream",
        "after_entry",
        "through_entry",
        "events",
        "why",
        "missed_by",
        "found_at",
    ];
    text.push_str(&section("LOST FOR GOOD", &losses, &columns));
    text
}

fn headline(summary: &Row) -> String {
    let value = |name: &str| text(summary, name).unwrap_or_else(|| "none".to_owned());
    let estimate = if summary["backlog_exact"] == true {
        ""
    } else {
        " (an estimate)"
    };
    let reason = text(summary, "reason").map_or_else(String::new, |reason| format!(": {reason}"));
    let oldest = text(summary, "oldest_unpublished_age_seconds")
        .map_or_else(String::new, |age| format!(", the oldest waits for {age} s"));
    format!(
        "{}{reason}\nbacklog {} events{estimate}{oldest}\nleader {}, epoch {}, {} live relays\nlast batch {} with {} events at {}\n",
        value("verdict"),
        value("backlog"),
        value("leader"),
        value("epoch"),
        value("live_relays"),
        value("last_batch"),
        value("last_batch_events"),
        value("last_batch_at"),
    )
}

fn rows<'a>(views: &'a Row, view: &str) -> Vec<&'a Row> {
    views
        .get(view)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .collect()
}

fn section(title: &str, rows: &[&Row], columns: &[&str]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let headings: Vec<String> = columns
        .iter()
        .map(|column| column.replace("_seconds", "_s").to_uppercase())
        .collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let cell = |row: &Row, column: &&str| text(row, column).unwrap_or_default();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| columns.iter().map(|column| cell(row, column)).collect())
        .collect();
    format!("\n{title}\n{}", table(&headings, &cells))
}

/// A value for people: nothing for null, seconds to the tenth, lists with commas, times without fractions.
fn text(row: &Row, column: &str) -> Option<String> {
    match row.get(column)? {
        Value::Null => None,
        Value::String(text) if column.ends_with("_at") || column.ends_with("since") => {
            Some(text.split('.').next().unwrap_or(text).replace('T', " "))
        }
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if column.ends_with("_seconds") => {
            number.as_f64().map(|seconds| format!("{seconds:.1}"))
        }
        Value::Array(items) => Some(
            items
                .iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(", "),
        ),
        other => Some(other.to_string()),
    }
}
