//! Master keys as the database knows them: by name, with how many keys each wraps.

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::event_store::Error;
use crate::event_store::pg::{failed, get, version};

const LIST: &str = include_str!("../../../../queries/event_store/list_master_keys.sql");
const RETIRE: &str = include_str!("../../../../queries/event_store/retire_master_key.sql");

const LISTING: &str = "listing master keys";
const RETIRING: &str = "retiring a master key";

/// A master key, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterKeyUse {
    /// The name that the keyring gives it.
    pub name: String,
    /// Keys of subjects that it wraps; the destroyed ones are not counted.
    pub keys: u64,
    /// Since when it wraps none any more; none: it was not retired.
    pub retired_at: Option<OffsetDateTime>,
}

/// The master keys that ever wrapped a key of a subject here, and how many each wraps now. For members of `outbox_observer`.
///
/// # Errors
/// When the database cannot be read, or the connection has not the rights.
pub async fn master_keys(connection: &mut PgConnection) -> Result<Vec<MasterKeyUse>, Error> {
    let rows = sqlx::query(LIST)
        .fetch_all(connection)
        .await
        .map_err(failed(LISTING))?;
    rows.iter()
        .map(|row| {
            Ok(MasterKeyUse {
                name: get(row, "name", LISTING)?,
                keys: version(get(row, "keys", LISTING)?, LISTING)?,
                retired_at: get(row, "retired_at", LISTING)?,
            })
        })
        .collect()
}

/// From here on a master key wraps no key of a subject, whatever process still has it: such a process is refused (SQLSTATE 55000) where a
/// subject has no key yet. Who is wrapping with it is waited for. Returns how many keys it still wraps: have them wrapped anew
/// ([`rewrap_keys`](super::rewrap_keys)) before it is destroyed. It cannot be taken back. For members of `outbox_maintainer`.
///
/// # Errors
/// When it never wrapped a key here, no reason is given, or the connection has not the rights.
pub async fn retire_master_key(
    connection: &mut PgConnection,
    name: &str,
    reason: &str,
) -> Result<u64, Error> {
    let row = sqlx::query(RETIRE)
        .bind(name)
        .bind(reason)
        .fetch_one(connection)
        .await
        .map_err(failed(RETIRING))?;
    version(get(&row, "keys", RETIRING)?, RETIRING)
}
