//! `stream read`: the events of one stream, or across streams ([`super::across`]).

use clap::Args;
use futures_util::TryStreamExt as _;
use outbox_core::event::{Data, DataView};
use outbox_core::event_store::{self, Cursor, StoredEvent, StreamName, StreamRead};
use serde_json::{Value, json};
use sqlx::Connection as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{across, failed, name};
use crate::command::within;
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::output::{Output, table};

/// A payload is shown to people up to so many characters; `--output json` has all of it.
const SHOWN_CHARS: usize = 100;

/// What to read.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub struct Read {
    /// The stream, as order-7
    #[arg(value_parser = name, group = "which")]
    stream: Option<StreamName>,
    /// Of all streams
    #[arg(long, group = "which")]
    all: bool,
    /// Of all streams of a category; may be repeated
    #[arg(long, value_name = "CATEGORY", group = "which", conflicts_with_all = ["stream", "all"])]
    pub(super) category: Vec<String>,
    /// Across streams: only events of this type; may be repeated
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "stream")]
    pub(super) types: Vec<String>,
    /// Across streams: go on from where another read ended, with the same categories and types
    #[arg(long, value_name = "CURSOR", conflicts_with = "stream")]
    pub(super) cursor: Option<Cursor>,
    /// From this version on
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["all", "category"])]
    from: Option<u64>,
    /// From the newest on
    #[arg(long)]
    pub(super) backward: bool,
    /// Only what was recorded by then, as 2026-01-31T12:00:00Z: the stream as it was
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) until: Option<OffsetDateTime>,
    /// At most so many events
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) max: u32,
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| "must be as 2026-01-31T12:00:00Z".to_owned())
}

/// Reads.
///
/// # Errors
/// Postgres cannot be reached or refuses; exit code 3 when there is no such stream.
pub async fn run(config: &Config, read: &Read, output: Output) -> Result<Exit, Failure> {
    let Some(stream) = &read.stream else {
        return across::run(config, read, output).await;
    };
    let mut connection = connect::connection(config, Role::Report).await?;
    let mut wanted = StreamRead::of(stream);
    if read.backward {
        wanted = wanted.backward();
    }
    if let Some(version) = read.from {
        wanted = wanted.from_version(version);
    }
    if let Some(time) = read.until {
        wanted = wanted.until(time);
    }
    let asked = async {
        let version = event_store::stream_version(&mut connection, stream)
            .await
            .map_err(failed)?;
        let events = event_store::read_stream(&mut connection, wanted);
        let mut events = std::pin::pin!(events);
        let mut found = Vec::new();
        while found.len() < read.max as usize
            && let Some(event) = events.try_next().await.map_err(failed)?
        {
            found.push(event);
        }
        Ok((version, found))
    };
    let (version, events) = within(config, "Postgres", asked).await?;
    connection.close().await?;
    if version == 0 {
        return Err(Failure::new(
            Exit::Degraded,
            format!("there is no stream {stream}: nothing was ever appended to it"),
        ));
    }
    let report = json!({
        "stream": stream.as_str(),
        "version": version,
        "events": events.iter().map(told).collect::<Vec<_>>(),
    });
    output.write(&report, |_| page(&events))?;
    Ok(Exit::Success)
}

pub(super) fn told(stored: &StoredEvent) -> Value {
    let event = &stored.event;
    let mut report = json!({
        "version": stored.version,
        "position": stored.position,
        "recorded_at": stored.recorded_at.format(&Rfc3339).ok(),
        "id": event.id,
        "type": event.r#type,
        "source": event.source,
        "subject": event.subject,
        "topic": stored.topic,
        "tags": stored.tags,
        "schema_version": event.schema_version,
        "correlation_id": event.correlation_id,
        "causation_id": event.causation_id,
        "archived": stored.is_archived,
    });
    match event.data.as_ref().map(Data::view) {
        Some(DataView::Json(text)) => report["data"] = serde_json::from_str(text).unwrap_or_default(),
        Some(DataView::Text(text)) => report["data"] = text.into(),
        Some(DataView::Binary(bytes)) => report["data_bytes"] = bytes.len().into(),
        None => {}
    }
    report
}

fn page(events: &[StoredEvent]) -> String {
    let rows: Vec<Vec<String>> = events
        .iter()
        .map(|stored| {
            vec![
                stored.version.to_string(),
                stored.recorded_at.format(&Rfc3339).unwrap_or_default(),
                stored.event.r#type.clone(),
                stored.topic.clone().unwrap_or_else(|| "-".to_owned()),
                shown(stored.event.data.as_ref()),
            ]
        })
        .collect();
    table(&["VERSION", "RECORDED AT", "TYPE", "TOPIC", "DATA"], &rows)
}

/// The beginning of a payload, on one line.
pub(super) fn shown(data: Option<&Data>) -> String {
    match data.map(Data::view) {
        None => String::new(),
        Some(DataView::Binary(bytes)) => format!("({} bytes)", bytes.len()),
        Some(DataView::Json(text) | DataView::Text(text)) => {
            let mut cut: String = text.chars().take(SHOWN_CHARS).collect();
            if cut.len() < text.len() {
                cut.push('…');
            }
            cut.replace(['\n', '\r', '\t', '\u{1b}'], " ")
        }
    }
}
