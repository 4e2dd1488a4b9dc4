//! Consumer groups and their streams, with how far each is behind.

use outbox_core::event::EntryId;
use outbox_core::ops;
use outbox_core::ops::consumer::lag::{Lag, Position, Seen};
use serde_json::{Map, Value, json};

use crate::command::within;
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::output::{Output, cell, table};

/// One row of a view.
type Row = Map<String, Value>;

/// What both servers say.
struct Found {
    consumers: Vec<Row>,
    streams: Vec<Row>,
    /// Why Redis was not asked, or did not answer.
    silent: Option<String>,
}

pub(super) async fn list(config: &Config, output: Output) -> Result<Exit, Failure> {
    let found = find(config, None).await?;
    output.write(&found.consumers, |consumers| {
        let columns = [
            "consumer",
            "state",
            "members",
            "streams",
            "lag_events",
            "lag_seconds",
            "parked_keys",
            "dead_letters",
            "cause",
        ];
        page(&columns, consumers) + &consumers.iter().map(holds).collect::<String>() + &note(&found)
    })?;
    Ok(Exit::Success)
}

pub(super) async fn show(config: &Config, group: &str, output: Output) -> Result<Exit, Failure> {
    let found = find(config, Some(group)).await?;
    let Some(consumer) = found.consumers.first() else {
        return Err(Failure::error(format!(
            "there is no consumer {group} in this database; outbox-relay consumer ls names them"
        )));
    };
    let report = json!({ "consumer": consumer, "streams": found.streams });
    output.write(&report, |_| {
        let columns = [
            "stream",
            "holder",
            "lease",
            "passed_entry",
            "lag_events",
            "lag_seconds",
            "parked_keys",
            "dead_letters",
            "cause",
        ];
        head(consumer) + &holds(consumer) + "\n" + &page(&columns, &found.streams) + &note(&found)
    })?;
    Ok(Exit::Success)
}

async fn find(config: &Config, group: Option<&str>) -> Result<Found, Failure> {
    let mut connection = connect::connection(config, Role::Report).await?;
    let read = within(config, "the views", async {
        let consumers = ops::consumer::consumers(&mut connection, group).await?;
        let streams = ops::consumer::consumer_streams(&mut connection, group).await?;
        Ok((consumers, streams))
    });
    let (mut consumers, mut streams) = read.await?;
    let why_paused = |stream: &Row| {
        consumers
            .iter()
            .find(|consumer| consumer["consumer"] == stream["consumer"])
            .and_then(paused)
    };
    let positions: Vec<Position> = streams
        .iter()
        .map(|stream| position(stream, why_paused(stream)))
        .collect();
    let (seen, silent) = match look(config, &streams, &positions).await {
        Ok(seen) => (seen, None),
        Err(failure) => (Vec::new(), Some(failure.message)),
    };
    for (number, (stream, position)) in streams.iter_mut().zip(&positions).enumerate() {
        let lag = seen.get(number).map(|seen| Lag::of(position, seen));
        let cause = lag
            .as_ref()
            .map_or_else(|| position.paused.clone(), |lag| lag.cause.clone());
        stream.insert(
            "lag_events".to_owned(),
            json!(lag.as_ref().and_then(|lag| lag.events)),
        );
        stream.insert("lag_seconds".to_owned(), json!(lag.map(|lag| lag.seconds)));
        stream.insert("cause".to_owned(), json!(cause));
    }
    for consumer in &mut consumers {
        sum(consumer, &streams);
    }
    Ok(Found {
        consumers,
        streams,
        silent,
    })
}

/// A group is as far behind as its streams together, and as long as the slowest of them.
fn sum(consumer: &mut Row, streams: &[Row]) {
    let own: Vec<&Row> = streams
        .iter()
        .filter(|stream| stream["consumer"] == consumer["consumer"])
        .collect();
    let events: Option<u64> = own.iter().map(|stream| stream["lag_events"].as_u64()).sum();
    let seconds: Option<Vec<f64>> = own.iter().map(|stream| stream["lag_seconds"].as_f64()).collect();
    let slowest = seconds.map(|seconds| seconds.into_iter().fold(0.0, f64::max));
    let cause = paused(consumer).or_else(|| {
        own.iter().find_map(|stream| {
            Some(format!(
                "{}: {}",
                cell(stream, "stream"),
                stream["cause"].as_str()?
            ))
        })
    });
    consumer.insert("lag_events".to_owned(), json!(events));
    consumer.insert("lag_seconds".to_owned(), json!(slowest));
    consumer.insert("cause".to_owned(), json!(cause));
}

fn paused(consumer: &Row) -> Option<String> {
    let since = consumer.get("paused_at")?.as_str()?;
    let (by, reason) = (cell(consumer, "paused_by"), cell(consumer, "paused_reason"));
    Some(format!("paused by {by} since {since}: {reason}"))
}

fn position(stream: &Row, paused: Option<String>) -> Position {
    Position {
        passed: stream["passed_entry"].as_str().and_then(|id| id.parse().ok()),
        is_held: stream["lease"] == "held",
        paused,
    }
}

async fn look(config: &Config, streams: &[Row], positions: &[Position]) -> Result<Vec<Seen>, Failure> {
    if config.redis.url.is_none() {
        return Err(Failure::error("REDIS_URL is not set"));
    }
    let asked: Vec<(String, String, Option<EntryId>)> = streams
        .iter()
        .zip(positions)
        .map(|(stream, position)| (cell(stream, "stream"), cell(stream, "consumer"), position.passed))
        .collect();
    let mut connection = connect::redis_connection(config).await?;
    Ok(ops::consumer::streams_seen(&mut connection, &asked).await?)
}

fn head(consumer: &Row) -> String {
    let value = |name: &str| match cell(consumer, name) {
        value if value.is_empty() => "for ever".to_owned(),
        value => value,
    };
    let cause = consumer["cause"]
        .as_str()
        .map_or_else(String::new, |cause| format!(": {cause}"));
    let forgotten = consumer["forgotten_until"].as_str().map_or_else(String::new, |until| {
        format!("ids of events recorded before {until} are forgotten: such an event becomes a dead letter, as too old\n")
    });
    format!(
        "{} is {}{cause}\n{} members, {} parked keys, {} dead letters\nids are kept {} (set: {}, floor: {}, since {}; {})\n{forgotten}",
        cell(consumer, "consumer"),
        cell(consumer, "state"),
        cell(consumer, "members"),
        cell(consumer, "parked_keys"),
        cell(consumer, "dead_letters"),
        value("kept"),
        value("keep"),
        value("floor"),
        cell(consumer, "floor_reason"),
        cell(consumer, "inbox_state"),
    )
}

/// For whom the database keeps ids that are old enough to go.
fn holds(consumer: &Row) -> String {
    if consumer["holds"] != true {
        return String::new();
    }
    let (consumer, since, why) = (
        cell(consumer, "consumer"),
        cell(consumer, "needed_since"),
        cell(consumer, "needed_for"),
    );
    format!(
        "ids of all consumers are kept for {consumer} that are old enough to go, since {since}: {why}; if it is gone for good: \
         outbox-relay consumer forget\n"
    )
}

fn page(columns: &[&str], rows: &[Row]) -> String {
    let headings: Vec<String> = columns
        .iter()
        .map(|column| column.replace("_seconds", "_s").to_uppercase())
        .collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let shown = |row: &Row, column: &str| match (column, row.get(column)) {
        ("lag_events" | "lag_seconds", None | Some(Value::Null)) => "unknown".to_owned(),
        ("lag_seconds", Some(Value::Number(seconds))) => format!("{:.1}", seconds.as_f64().unwrap_or(0.0)),
        _ => cell(row, column),
    };
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| columns.iter().map(|column| shown(row, column)).collect())
        .collect();
    table(&headings, &cells)
}

fn note(found: &Found) -> String {
    found
        .silent
        .as_ref()
        .map_or_else(String::new, |why| format!("\nthe lag is unknown: {why}\n"))
}
