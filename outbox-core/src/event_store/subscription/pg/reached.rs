//! Asking whether a subscription has something behind it.

use sqlx::PgPool;

use super::super::Error;
use super::bounded;

/// What a subscription has of what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Reached {
    Done,
    Pending,
    Parked,
    Unseen,
}

/// Of the events of a transaction, and of those at positions.
pub(in super::super) async fn reached(
    pool: &PgPool,
    name: &str,
    transaction: Option<u64>,
    positions: &[i64],
) -> Result<Reached, Error> {
    let query = sqlx::query_scalar(include_str!("../../../../queries/subscription/reached.sql"))
        .bind(name)
        .bind(transaction.map(|transaction| transaction.to_string()))
        .bind(positions);
    let state: Option<String> =
        bounded("asking how far a subscription is", query.fetch_optional(pool)).await?;
    match state.as_deref() {
        Some("done") => Ok(Reached::Done),
        Some("parked") => Ok(Reached::Parked),
        Some("unseen") => Ok(Reached::Unseen),
        Some("standby") => Err(Error::Configuration {
            problems: vec![
                "pool: a transaction is waited for where it was committed; this is a standby, which does not tell which are open. \
                 Wait for positions, or at the primary"
                    .to_owned(),
            ],
        }),
        Some(_) => Ok(Reached::Pending),
        None => Err(Error::Gone {
            name: name.to_owned(),
        }),
    }
}
