//! `stream read --all` and `--category`: events across streams, and the cursor to go on from.

use outbox_core::event_store::{self, EventPage, EventRead, PageLimits, StoredEvent};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use time::format_description::well_known::Rfc3339;

use super::failed;
use super::read::{Read, shown, told};
use crate::command::within;
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::output::{Output, table};

/// Reads.
///
/// # Errors
/// Postgres cannot be reached or refuses, or the cursor does not fit.
pub(super) async fn run(config: &Config, read: &Read, output: Output) -> Result<Exit, Failure> {
    let mut connection = connect::connection(config, Role::Report).await?;
    let found = within(config, "Postgres", pages(&mut connection, wanted(read), read.max)).await?;
    connection.close().await?;
    let events: Vec<_> = found
        .events
        .iter()
        .map(|stored| {
            let mut event = told(stored);
            event["stream"] = stored.stream.as_str().into();
            event
        })
        .collect();
    let report = json!({ "events": events, "cursor": found.cursor.as_str(), "is_end": found.is_end });
    output.write(&report, |_| page(&found))?;
    Ok(Exit::Success)
}

fn wanted(read: &Read) -> EventRead {
    let mut wanted = EventRead::all();
    if !read.category.is_empty() {
        wanted = wanted.categories(read.category.clone());
    }
    if !read.types.is_empty() {
        wanted = wanted.types(read.types.clone());
    }
    if read.backward {
        wanted = wanted.backward();
    }
    if let Some(time) = read.until {
        wanted = wanted.until(time);
    }
    if let Some(cursor) = read.cursor.clone() {
        wanted = wanted.behind(cursor);
    }
    wanted
}

/// As many pages as `max` events take, as one.
async fn pages(connection: &mut PgConnection, mut wanted: EventRead, max: u32) -> Result<EventPage, Failure> {
    let mut events: Vec<StoredEvent> = Vec::new();
    loop {
        let limits = PageLimits {
            events_max: max - u32::try_from(events.len()).unwrap_or(max),
            ..PageLimits::default()
        };
        wanted = wanted.limits(limits);
        let mut page = event_store::read_events_page(connection, &wanted)
            .await
            .map_err(failed)?;
        events.append(&mut page.events);
        if page.is_end || events.len() >= max as usize {
            page.events = events;
            return Ok(page);
        }
        wanted = wanted.behind(page.cursor);
    }
}

fn page(found: &EventPage) -> String {
    let rows: Vec<Vec<String>> = found
        .events
        .iter()
        .map(|stored| {
            vec![
                stored.stream.to_string(),
                stored.version.to_string(),
                stored.recorded_at.format(&Rfc3339).unwrap_or_default(),
                stored.event.r#type.clone(),
                stored.topic.clone().unwrap_or_else(|| "-".to_owned()),
                shown(stored.event.data.as_ref()),
            ]
        })
        .collect();
    let table = table(
        &["STREAM", "VERSION", "RECORDED AT", "TYPE", "TOPIC", "DATA"],
        &rows,
    );
    let end = if found.is_end {
        "That was all. What comes from here on"
    } else {
        "There is more. What follows"
    };
    format!("{table}{end}: --cursor '{}'\n", found.cursor)
}
