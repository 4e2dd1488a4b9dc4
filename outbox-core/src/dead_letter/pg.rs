//! Writing what is given up, in the caller's transaction.

use sqlx::PgConnection;

use super::DeadLetter;

/// Keeps the entry. An entry that is kept already stays as it is.
pub(crate) async fn enter(tx: &mut PgConnection, letter: &DeadLetter<'_>) -> Result<(), sqlx::Error> {
    let fields: Vec<&[u8]> = letter
        .fields
        .iter()
        .flat_map(|(name, value)| [name.as_slice(), value.as_slice()])
        .collect();
    sqlx::query(include_str!("../../queries/dead_letter/enter.sql"))
        .bind(letter.consumer)
        .bind(letter.stream)
        .bind(&letter.entry_id)
        .bind(letter.event.map(|event| event.source.as_str()))
        .bind(letter.event.map(|event| event.id.as_str()))
        .bind(letter.event.map(|event| event.r#type.as_str()))
        .bind(letter.event.and_then(|event| event.key.as_deref()))
        .bind(letter.event.and_then(|event| event.recorded_at))
        .bind(fields)
        .bind(letter.error_class)
        .bind(letter.error)
        .bind(i32::try_from(letter.attempts).unwrap_or(i32::MAX))
        .execute(tx)
        .await
        .map(drop)
}
