//! The statements that look. They are unnamed: each is sent once, and a named one stays behind in a pooler.

use std::collections::VecDeque;

use futures_util::stream::{self, Stream};
use serde::de::DeserializeOwned;
use sqlx::{PgConnection, Row};

use super::super::{Attempt, Error, Filter, Group, Letter, State, Summary};

/// Numbers that an export reads at once; of the letters themselves it holds one.
const EXPORT_PAGE: i64 = 500;

/// A part of a list.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Only letters with a higher number than this.
    pub after: i64,
    /// So many at most.
    pub most: i64,
}

/// The groups of letters that wait for a person, those with the most letters first; at most `most`. Of the filter count
/// consumer, fingerprint, topic, type, class and kind; what tells single letters apart does not.
///
/// # Errors
/// The views are not there or may not be read.
pub async fn groups(conn: &mut PgConnection, filter: &Filter, most: i64) -> Result<Vec<Group>, Error> {
    const DOING: &str = "failed to read outbox_ops.dead_letter_groups";
    let rows: Vec<String> = sqlx::query_scalar(include_str!("../../../queries/dead_letter/groups.sql"))
        .persistent(false)
        .bind(&filter.consumer)
        .bind(&filter.fingerprint)
        .bind(&filter.topic)
        .bind(&filter.r#type)
        .bind(&filter.error_class)
        .bind(filter.error_kind.map(|kind| kind.word()))
        .bind(most)
        .fetch_all(conn)
        .await
        .map_err(|error| Error::postgres(DOING, error))?;
    parse(DOING, rows)
}

/// Letters in the order of their numbers, a page at a time.
///
/// # Errors
/// The views are not there or may not be read, or the filter is refused.
pub async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    states: &[State],
    page: Page,
) -> Result<Vec<Summary>, Error> {
    const DOING: &str = "failed to read outbox_ops.dead_letters";
    let rows: Vec<String> = sqlx::query_scalar(include_str!("../../../queries/dead_letter/list.sql"))
        .persistent(false)
        .bind(filter.to_json())
        .bind(words(states))
        .bind(page.after)
        .bind(page.most)
        .fetch_all(conn)
        .await
        .map_err(|error| Error::postgres(DOING, error))?;
    parse(DOING, rows)
}

/// One letter with everything: fields, error, attempts. None if there is no such number.
///
/// # Errors
/// The role may not read payloads, or the database cannot be read.
pub async fn whole(conn: &mut PgConnection, number: i64) -> Result<Option<Letter>, Error> {
    const DOING: &str = "failed to read a dead letter";
    let row = sqlx::query(include_str!("../../../queries/dead_letter/whole.sql"))
        .persistent(false)
        .bind(number)
        .fetch_optional(conn)
        .await
        .map_err(|error| Error::postgres(DOING, error))?;
    let Some(row) = row else {
        return Ok(None);
    };
    let failed = |error| Error::postgres(DOING, error);
    let summary: String = row.try_get("summary").map_err(failed)?;
    let history: String = row.try_get("history").map_err(failed)?;
    let error: String = row.try_get("error").map_err(failed)?;
    let fields: Vec<Vec<u8>> = row.try_get("entry_fields").map_err(failed)?;
    let edited: Option<Vec<Vec<u8>>> = row.try_get("edited_fields").map_err(failed)?;
    let history: Vec<Attempt> =
        serde_json::from_str(&history).map_err(|error| Error::unreadable(DOING, error))?;
    Ok(Some(Letter {
        summary: serde_json::from_str(&summary).map_err(|error| Error::unreadable(DOING, error))?,
        error,
        history,
        fields: pairs(fields),
        edited_fields: edited.map(pairs),
    }))
}

/// Every letter of a filter, whole, in the order of their numbers. One letter is in memory at a time, and a letter that goes
/// meanwhile is left out.
pub fn export<'c>(
    conn: &'c mut PgConnection,
    filter: &Filter,
    states: &[State],
) -> impl Stream<Item = Result<Letter, Error>> + Send + 'c {
    let cursor = Cursor {
        conn,
        filter: filter.to_json(),
        states: words(states),
        page: VecDeque::new(),
        after: 0,
        is_last: false,
    };
    stream::try_unfold(cursor, |mut cursor| async move {
        while let Some(number) = cursor.next_number().await? {
            if let Some(letter) = whole(&mut *cursor.conn, number).await? {
                return Ok(Some((letter, cursor)));
            }
        }
        Ok(None)
    })
}

struct Cursor<'c> {
    conn: &'c mut PgConnection,
    filter: String,
    states: Vec<&'static str>,
    page: VecDeque<i64>,
    after: i64,
    is_last: bool,
}

impl Cursor<'_> {
    async fn next_number(&mut self) -> Result<Option<i64>, Error> {
        if self.page.is_empty() && !self.is_last {
            let read = sqlx::query_scalar(include_str!("../../../queries/dead_letter/numbers.sql"))
                .persistent(false)
                .bind(&self.filter)
                .bind(&self.states)
                .bind(self.after)
                .bind(EXPORT_PAGE)
                .fetch_all(&mut *self.conn)
                .await;
            let page: Vec<i64> =
                read.map_err(|error| Error::postgres("failed to read outbox_ops.dead_letters", error))?;
            self.is_last = page.is_empty();
            self.after = page.last().copied().unwrap_or(self.after);
            self.page = page.into();
        }
        Ok(self.page.pop_front())
    }
}

fn words(states: &[State]) -> Vec<&'static str> {
    states.iter().map(|state| state.word()).collect()
}

/// Names and values by turns.
fn pairs(flat: Vec<Vec<u8>>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut flat = flat.into_iter();
    let mut pairs = Vec::with_capacity(flat.len() / 2);
    while let (Some(name), Some(value)) = (flat.next(), flat.next()) {
        pairs.push((name, value));
    }
    pairs
}

pub(in crate::dead_letter) fn parse<T: DeserializeOwned>(
    doing: &str,
    rows: Vec<String>,
) -> Result<Vec<T>, Error> {
    let parsed: Result<Vec<T>, _> = rows.iter().map(|row| serde_json::from_str(row)).collect();
    parsed.map_err(|error| Error::unreadable(doing, error))
}
