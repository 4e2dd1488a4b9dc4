//! Loads of a stream of a thousand events, and one select of as many rows.

use std::time::Instant;

use futures_util::TryStreamExt as _;
use outbox_core::event_store::{self, StreamName, StreamRead};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use system_tests::{Failure, Result};
use time::OffsetDateTime;
use uuid::Uuid;

use super::append::{append, insert};
use super::ground::{Ground, raw_stream};

pub(super) const EVENTS: usize = 1_000;

const RAW_SELECT: &str = "select position, recorded_at, version, id, source, type, subject, time, data_content_type, data_schema, schema_version,
    correlation_id, causation_id, traceparent, tracestate, extensions::text as extensions, tags, topic, data, data_binary
    from bench.raw where stream = $1 order by version";

pub(super) async fn ours(ground: &mut Ground, times: usize) -> Result<(usize, f64)> {
    let name = StreamName::new("bench", ground.new_streams(1).start)?;
    let mut connection = ground.connect().await?;
    append(&mut connection, &name, 0, EVENTS).await?;
    let began = Instant::now();
    for _ in 0..times {
        let events: Vec<_> = event_store::read_stream(&mut connection, StreamRead::of(&name))
            .try_collect()
            .await?;
        complete(events.len())?;
    }
    Ok((times, began.elapsed().as_secs_f64()))
}

pub(super) async fn raw(ground: &mut Ground, times: usize) -> Result<(usize, f64)> {
    let stream = raw_stream(ground.new_streams(1).start)?;
    let mut connection = ground.connect().await?;
    insert(&mut connection, stream, 0, EVENTS).await?;
    let began = Instant::now();
    for _ in 0..times {
        complete(select(&mut connection, stream).await?.len())?;
    }
    Ok((times, began.elapsed().as_secs_f64()))
}

fn complete(events: usize) -> Result {
    if events == EVENTS {
        return Ok(());
    }
    Err(Failure::new(format!("{events} events of {EVENTS}")))
}

/// What a service would make of a row.
type Raw = ((i64, OffsetDateTime, i64, Uuid), [String; 4], [Option<String>; 9]);

async fn select(connection: &mut PgConnection, stream: i64) -> Result<Vec<Raw>> {
    let rows = sqlx::query(RAW_SELECT).bind(stream).fetch_all(connection).await?;
    rows.iter().map(row).collect()
}

pub(super) fn row(row: &PgRow) -> Result<Raw> {
    let mut perhaps = [const { None }; 9];
    for (place, column) in perhaps.iter_mut().zip([6, 9, 10, 11, 12, 13, 14, 15, 17]) {
        *place = row.try_get::<Option<String>, _>(column)?;
    }
    Ok((
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?),
        [
            row.try_get(4)?,
            row.try_get(5)?,
            row.try_get(8)?,
            row.try_get(18)?,
        ],
        perhaps,
    ))
}
