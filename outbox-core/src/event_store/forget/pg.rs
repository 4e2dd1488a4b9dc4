//! Keys of subjects through sqlx.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::cipher::Key;
use super::keyring::{self, Keyring};
use super::opened::{Opened, key_of};
use crate::append::NewEvent;
use crate::event::Event;
use crate::event_store::pg::{failed, get};
use crate::event_store::{Error, StoredEvent, StreamName};

mod masters;
pub use masters::{MasterKeyUse, master_keys, retire_master_key};

const HOLD: &str = include_str!("../../../queries/event_store/hold_subject_key.sql");
const READ: &str = include_str!("../../../queries/event_store/read_subject_keys.sql");
const FORGET: &str = include_str!("../../../queries/event_store/forget_subject.sql");
const STALE: &str = include_str!("../../../queries/event_store/stale_subject_keys.sql");
const REWRAP: &str = include_str!("../../../queries/event_store/rewrap_subject_key.sql");

const HOLDING: &str = "asking for the key of a subject";
const READING: &str = "reading keys of subjects";
const FORGETTING: &str = "forgetting a subject";
const REWRAPPING: &str = "wrapping keys of subjects anew";

/// Keys that are wrapped anew in one call.
const REWRAPPED_MAX: i32 = 1_000;

impl Keyring {
    /// The event with its payload sealed for this subject, to be appended to this stream, in this transaction: the key is held until
    /// it ends. Nothing of the event may be changed afterwards.
    ///
    /// # Errors
    /// When the payload breaks a rule of appending, the database cannot be asked, or a master key is missing.
    pub async fn seal(
        &self,
        connection: &mut PgConnection,
        stream: &StreamName,
        subject: &str,
        event: NewEvent,
    ) -> Result<NewEvent, Error> {
        let proposed = Uuid::now_v7();
        let row = sqlx::query(HOLD)
            .bind(subject)
            .bind(proposed)
            .bind(self.propose(proposed)?)
            .bind(self.current())
            .fetch_one(connection)
            .await
            .map_err(failed(HOLDING))?;
        let id = get(&row, "id", HOLDING)?;
        let key = self
            .key(&row, id, HOLDING)?
            .ok_or_else(|| Error::shape(HOLDING, "a key that was destroyed"))?;
        keyring::seal(event, stream, id, &key)
    }

    /// These events, each as it was appended, or forgotten. One statement asks for all their keys.
    ///
    /// # Errors
    /// When the database cannot be asked, a master key is missing, or something was changed.
    pub async fn open(
        &self,
        connection: &mut PgConnection,
        events: Vec<StoredEvent>,
    ) -> Result<Vec<Opened>, Error> {
        let keys = self
            .keys_of(connection, events.iter().map(|stored| &stored.event))
            .await?;
        let opened = |mut stored: StoredEvent| {
            let Some(id) = key_of(&stored.event)? else {
                return Ok(Opened::Plain(stored));
            };
            match keys.get(&id) {
                Some(Some(key)) => {
                    let stream = stored.stream.to_string();
                    stored.event = keyring::open(stored.event, &stream, id, key)?;
                    Ok(Opened::Unsealed(stored))
                }
                Some(None) => {
                    stored.event.data = None;
                    Ok(Opened::Forgotten(stored))
                }
                None => Err(unknown(id)),
            }
        };
        events.into_iter().map(opened).collect()
    }

    /// What a consumer received of a stored event, as it was appended; none: it was forgotten. The connection is to the database of
    /// the log, which has the keys.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub async fn open_published(
        &self,
        connection: &mut PgConnection,
        event: Event,
    ) -> Result<Option<Event>, Error> {
        let Some(id) = key_of(&event)? else {
            return Ok(Some(event));
        };
        let keys = self.keys_of(connection, std::iter::once(&event)).await?;
        match keys.get(&id) {
            Some(Some(key)) => {
                let stream = event.key.clone().unwrap_or_default();
                keyring::open(event, &stream, id, key).map(Some)
            }
            Some(None) => Ok(None),
            None => Err(unknown(id)),
        }
    }

    /// The keys of these events by id; none: it was destroyed.
    async fn keys_of<'e>(
        &self,
        connection: &mut PgConnection,
        events: impl Iterator<Item = &'e Event>,
    ) -> Result<BTreeMap<Uuid, Option<Key>>, Error> {
        let mut ids = BTreeSet::new();
        for event in events {
            ids.extend(key_of(event)?);
        }
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let rows = sqlx::query(READ)
            .bind(&ids)
            .fetch_all(connection)
            .await
            .map_err(failed(READING))?;
        rows.iter()
            .map(|row| {
                let id = get(row, "id", READING)?;
                Ok((id, self.key(row, id, READING)?))
            })
            .collect()
    }

    fn key(&self, row: &PgRow, id: Uuid, doing: &'static str) -> Result<Option<Key>, Error> {
        let wrapped: Option<Vec<u8>> = get(row, "wrapped_key", doing)?;
        let master: String = get(row, "master_key", doing)?;
        wrapped
            .map(|wrapped| self.unwrap(id, &wrapped, &master))
            .transpose()
    }
}

fn unknown(id: Uuid) -> Error {
    Error::sealed(format!("key {id} is not in this database"))
}

/// Destroys the key of a subject, for good, and returns its id: whoever is appending with it is waited for. For members of
/// `outbox_maintainer`.
///
/// # Errors
/// When the subject has no key, or the connection has not the rights.
pub async fn forget_subject(
    connection: &mut PgConnection,
    subject: &str,
    reason: &str,
) -> Result<Uuid, Error> {
    let row = sqlx::query(FORGET)
        .bind(subject)
        .bind(reason)
        .fetch_one(connection)
        .await
        .map_err(failed(FORGETTING))?;
    get(&row, "key_id", FORGETTING)
}

/// Wraps keys that an older master key of the keyring wraps with the current one, up to a thousand. Returns how many: none, and no
/// key needs an older one any more, provided that the older ones are retired ([`retire_master_key`]): until then a process that has an old
/// keyring may wrap another key with one. For members of `outbox_maintainer`.
///
/// # Errors
/// When a master key is missing, or the connection has not the rights.
pub async fn rewrap_keys(connection: &mut PgConnection, keyring: &Keyring) -> Result<u64, Error> {
    let rows = sqlx::query(STALE)
        .bind(keyring.current())
        .bind(REWRAPPED_MAX)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed(REWRAPPING))?;
    for row in &rows {
        let id: Uuid = get(row, "id", REWRAPPING)?;
        let (old, master): (Vec<u8>, String) = (
            get(row, "wrapped_key", REWRAPPING)?,
            get(row, "master_key", REWRAPPING)?,
        );
        let key = keyring.unwrap(id, &old, &master)?;
        // One that was destroyed meanwhile, or wrapped by another, is left as it is.
        sqlx::query(REWRAP)
            .bind(id)
            .bind(&old)
            .bind(keyring.wrap(id, &key)?)
            .bind(keyring.current())
            .execute(&mut *connection)
            .await
            .map_err(failed(REWRAPPING))?;
    }
    Ok(rows.len() as u64)
}
