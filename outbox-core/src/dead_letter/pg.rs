//! Writing what is given up, in the caller's transaction.

use sqlx::PgConnection;

use super::DeadLetter;
use super::kept::{ENTRY_BYTES_MAX, kept};

/// Keeps the entry. One that is kept already stays as it is, unless it was put back and dies again.
pub(crate) async fn enter(tx: &mut PgConnection, letter: &DeadLetter<'_>) -> Result<(), sqlx::Error> {
    let (fields, size) = kept(letter.fields, ENTRY_BYTES_MAX);
    let error = match size {
        Some(size) => format!(
            "{} (the first {ENTRY_BYTES_MAX} of its {size} bytes are kept)",
            letter.error
        ),
        None => letter.error.to_owned(),
    };
    sqlx::query(include_str!("../../queries/dead_letter/enter.sql"))
        .bind(letter.consumer)
        .bind(letter.stream)
        .bind(&letter.entry_id)
        .bind(letter.flow)
        .bind(letter.lane)
        .bind(letter.place)
        .bind(letter.event.as_ref().map(|event| event.source))
        .bind(letter.event.as_ref().map(|event| event.id))
        .bind(letter.event.as_ref().map(|event| event.r#type))
        .bind(letter.event.as_ref().and_then(|event| event.schema_version))
        .bind(letter.event.as_ref().and_then(|event| event.key))
        .bind(letter.event.as_ref().and_then(|event| event.recorded_at))
        .bind(fields)
        .bind(letter.error_class)
        .bind(error)
        .bind(letter.error_kind)
        .bind(letter.fingerprint.as_str())
        .bind(i32::try_from(letter.attempts).unwrap_or(i32::MAX))
        .bind(letter.history)
        .bind(letter.seconds)
        .execute(tx)
        .await
        .map(drop)
}

/// A letter that was put back has come to an end: `applied` or `dead`. So has the item of the operation that put it back.
pub(crate) async fn settle(tx: &mut PgConnection, number: i64, state: &str) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../../queries/dead_letter/settle.sql"))
        .bind(number)
        .bind(state)
        .execute(tx)
        .await
        .map(drop)
}
