//! The keys that a service has, and what it seals and opens with them.

use std::collections::BTreeMap;
use std::fmt;

use uuid::Uuid;
use zeroize::Zeroizing;

use super::cipher::{self, Key};
use super::opened::{SEALED_TYPE, SUBJECT_KEY};
use super::plain;
use crate::append::NewEvent;
use crate::event::{Data, Event};
use crate::event_store::{Error, StreamName};

/// A key of 32 random bytes that wraps the keys of subjects. It comes from where the service keeps its secrets.
#[derive(Clone)]
pub struct MasterKey(Key);

/// What a service seals and opens with. It never leaves the process.
#[derive(Clone)]
pub struct Keyring {
    current: String,
    masters: BTreeMap<String, MasterKey>,
}

impl MasterKey {
    /// These bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl Keyring {
    /// With the master key that wraps new keys, and a name for it that stays.
    #[must_use]
    pub fn new(name: impl Into<String>, master: MasterKey) -> Self {
        let current = name.into();
        Self {
            masters: BTreeMap::from([(current.clone(), master)]),
            current,
        }
    }

    /// Also opens what this older master key wraps, until it is retired ([`retire_master_key`](super::retire_master_key)) and
    /// [`rewrap_keys`](super::rewrap_keys) has found nothing more of it.
    #[must_use]
    pub fn with_older(mut self, name: impl Into<String>, master: MasterKey) -> Self {
        self.masters.entry(name.into()).or_insert(master);
        self
    }

    /// The name of the master key that wraps new keys.
    pub(super) fn current(&self) -> &str {
        &self.current
    }

    /// A new key of a subject, wrapped.
    pub(super) fn propose(&self, id: Uuid) -> Result<Vec<u8>, Error> {
        let key = cipher::new_key().map_err(Error::sealed)?;
        self.wrap(id, &key)
    }

    pub(super) fn wrap(&self, id: Uuid, key: &Key) -> Result<Vec<u8>, Error> {
        cipher::seal(&self.master(&self.current)?.0, &wrapping(id), &key[..]).map_err(Error::sealed)
    }

    pub(super) fn unwrap(&self, id: Uuid, wrapped: &[u8], master: &str) -> Result<Key, Error> {
        let plain = cipher::open(&self.master(master)?.0, &wrapping(id), wrapped).map_err(|said| {
            Error::sealed(format!(
                "key {id} cannot be unwrapped with master key {master:?}: {said}"
            ))
        })?;
        let bytes: [u8; 32] = plain[..]
            .try_into()
            .map_err(|_| Error::sealed(format!("key {id} has not 32 bytes")))?;
        Ok(Zeroizing::new(bytes))
    }

    fn master(&self, name: &str) -> Result<&MasterKey, Error> {
        self.masters
            .get(name)
            .ok_or_else(|| Error::sealed(format!("there is no master key {name:?} on this keyring")))
    }
}

/// The event with its payload sealed.
pub(super) fn seal(event: NewEvent, stream: &StreamName, key_id: Uuid, key: &Key) -> Result<NewEvent, Error> {
    let content = event.content().map_err(Error::refused)?;
    let plain = Zeroizing::new(plain::to_bytes(&content, event.content_type()));
    let (event_type, schema_version) = event.contract();
    let context = binding(
        key_id,
        &event.event_id().to_string(),
        stream.as_str(),
        event_type,
        schema_version,
    );
    let sealed = cipher::seal(key, &context, &plain).map_err(Error::sealed)?;
    Ok(event
        .binary(sealed, SEALED_TYPE)
        .extension(SUBJECT_KEY, key_id.to_string()))
}

/// The event with its payload as it was.
pub(super) fn open(mut event: Event, stream: &str, key_id: Uuid, key: &Key) -> Result<Event, Error> {
    let context = binding(
        key_id,
        &event.id,
        stream,
        &event.r#type,
        event.schema_version.as_deref(),
    );
    let refuse = |said: &str| Error::sealed(format!("event {} of stream {stream}: {said}", event.id));
    let Some(Data::Binary(sealed)) = &event.data else {
        return Err(refuse("it has no bytes to open"));
    };
    let plain = cipher::open(key, &context, sealed).map_err(refuse)?;
    let (data, content_type) =
        plain::from_bytes(&plain).ok_or_else(|| refuse("what was sealed is no payload"))?;
    event.data_content_type = content_type.or_else(|| match &data {
        Some(Data::Json(_)) => Some("application/json".to_owned()),
        _ => None,
    });
    event.data = data;
    Ok(event)
}

/// What a sealed payload is bound to.
fn binding(
    key_id: Uuid,
    event_id: &str,
    stream: &str,
    event_type: &str,
    schema_version: Option<&str>,
) -> Vec<u8> {
    bound(
        "outbox sealed payload 1",
        &[
            &key_id.to_string(),
            event_id,
            stream,
            event_type,
            schema_version.unwrap_or_default(),
        ],
    )
}

/// What a wrapped key is bound to.
fn wrapping(key_id: Uuid) -> Vec<u8> {
    bound("outbox wrapped key 1", &[&key_id.to_string()])
}

/// Each part with its length, so that none can pass for part of another.
fn bound(what: &str, parts: &[&str]) -> Vec<u8> {
    let mut context = Vec::new();
    for part in std::iter::once(&what).chain(parts) {
        context.extend_from_slice(&(part.len() as u64).to_be_bytes());
        context.extend_from_slice(part.as_bytes());
    }
    context
}

/// The names of the master keys, and nothing of them.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("current", &self.current)
            .field("masters", &self.masters.keys())
            .finish()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}
