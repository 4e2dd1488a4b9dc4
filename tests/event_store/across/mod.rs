//! Reads across streams: what a read has, what the next one has, and nothing missed or twice between them.

mod crowd;

mod cursors;

mod differences;

mod eras;

mod own;

mod pages;

mod plans;

mod wanted;

use futures_util::TryStreamExt as _;
use outbox_core::append::NewEvent;
use outbox_core::event_store::{self, Cursor, EventPage, EventRead, Expected, PageLimits, StoredEvent};
use sqlx::PgConnection;
use system_tests::Result;

/// Appends events of these types.
async fn append(connection: &mut PgConnection, stream: &str, types: &[&str]) -> Result {
    let events = types.iter().map(|name| NewEvent::stored(*name)).collect();
    let outcome = event_store::append(connection, &stream.parse()?, Expected::Any, events).await?;
    assert!(
        matches!(outcome, event_store::Outcome::Appended { .. }),
        "{outcome:?}"
    );
    Ok(())
}

/// Pages of so many events.
fn few(events_max: u32) -> PageLimits {
    PageLimits {
        events_max,
        ..PageLimits::default()
    }
}

/// All pages up to the end.
async fn pages(connection: &mut PgConnection, read: EventRead) -> Result<Vec<EventPage>> {
    let pages: Vec<EventPage> = event_store::read_events(connection, read).try_collect().await?;
    let ends: Vec<bool> = pages.iter().map(|page| page.is_end).collect();
    assert!(
        ends.split_last()
            .is_some_and(|(last, before)| *last && !before.contains(&true)),
        "{ends:?}"
    );
    Ok(pages)
}

/// All events up to the end, and the cursor there.
async fn read(connection: &mut PgConnection, read: EventRead) -> Result<(Vec<StoredEvent>, Cursor)> {
    let mut pages = pages(connection, read).await?;
    let cursor = pages.last().map(|page| page.cursor.clone()).expect("a last page");
    Ok((pages.drain(..).flat_map(|page| page.events).collect(), cursor))
}

/// Events as `stream@version`.
fn names(events: &[StoredEvent]) -> Vec<String> {
    events
        .iter()
        .map(|stored| format!("{}@{}", stored.stream, stored.version))
        .collect()
}
