//! Appending under a condition through tokio-postgres. The cursor comes from `outbox.read_tagged`, as text.

use tokio_postgres::GenericClient;
use tokio_postgres::types::{ToSql, Type};

use super::condition::Condition;
use super::outcome::{Conditional, Unseen};
use super::pg::APPEND_IF;
use crate::append::{Limits, NewEvent};
use crate::event_store::append::Call;
use crate::event_store::append::tokio_postgres::{answer, parameters};
use crate::event_store::{Cursor, Error, Expected, StreamAppend, StreamName};

const DOING: &str = "appending under a condition";

/// Appends events to one stream, as [`super::append_if`] does.
///
/// # Errors
/// As [`super::append_if`].
pub async fn append_if<C: GenericClient + Sync>(
    client: &C,
    condition: &Condition,
    cursor: &Cursor,
    stream: &StreamName,
    expected: Expected,
    events: Vec<NewEvent>,
) -> Result<Conditional, Error> {
    let one = StreamAppend {
        stream: stream.clone(),
        expected,
        events,
    };
    append_streams_if(client, condition, cursor, vec![one]).await
}

/// Appends to several streams under one condition: all of it, or nothing.
///
/// # Errors
/// As [`super::append_if`].
pub async fn append_streams_if<C: GenericClient + Sync>(
    client: &C,
    condition: &Condition,
    cursor: &Cursor,
    appends: Vec<StreamAppend>,
) -> Result<Conditional, Error> {
    let condition = condition.told()?;
    let cursor = cursor.as_str();
    let asked = appends
        .iter()
        .map(|append| (append.stream.clone(), append.expected))
        .collect();
    let call = Call::of(appends, &Limits::default())?;
    let mut all: Vec<(&(dyn ToSql + Sync), Type)> = parameters(&call).into();
    all.push((&condition, Type::TEXT));
    all.push((&cursor, Type::TEXT));
    let failed = crate::event_store::append::tokio_postgres::failed(DOING);
    let rows = client.query_typed(APPEND_IF, &all).await.map_err(&failed)?;
    let mut unseen = None;
    let mut answers = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Some(position) = row.try_get("unseen_position").map_err(&failed)? {
            unseen = Some(Unseen {
                position,
                event_type: row.try_get("unseen_type").map_err(&failed)?,
            });
        }
        answers.push(answer(row, DOING)?);
    }
    Conditional::of(asked, answers, unseen)
}
