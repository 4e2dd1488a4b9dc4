//! Pure: what a read finds of an event that may have been sealed.

use uuid::Uuid;

use crate::event::{Event, ExtensionValue};
use crate::event_store::{Error, StoredEvent};

/// The attribute of a sealed event that names the key: also on topics.
pub const SUBJECT_KEY: &str = "subjectkey";

/// The media type of a sealed payload.
pub(super) const SEALED_TYPE: &str = "application/vnd.outbox.sealed";

/// An event as a read finds it.
#[derive(Clone, Debug, PartialEq)]
pub enum Opened {
    /// It was never sealed.
    Plain(StoredEvent),
    /// It was sealed, and here is its payload as it was appended.
    Unsealed(StoredEvent),
    /// The key was destroyed: what it said is known to nobody. The event has no data.
    Forgotten(StoredEvent),
}

impl Opened {
    /// The event; without data where that was forgotten.
    #[must_use]
    pub fn stored(&self) -> &StoredEvent {
        match self {
            Self::Plain(stored) | Self::Unsealed(stored) | Self::Forgotten(stored) => stored,
        }
    }

    /// Whether what it said is known to nobody.
    #[must_use]
    pub fn is_forgotten(&self) -> bool {
        matches!(self, Self::Forgotten(_))
    }
}

/// Whether the payload of an event is sealed.
pub(crate) fn is_sealed(event: &Event) -> bool {
    event.data_content_type.as_deref() == Some(SEALED_TYPE)
}

/// The key of a sealed event; none: it is not sealed.
pub(crate) fn key_of(event: &Event) -> Result<Option<Uuid>, Error> {
    if !is_sealed(event) {
        return Ok(None);
    }
    let Some(ExtensionValue::String(named)) = event.extensions.get(SUBJECT_KEY) else {
        return Err(Error::sealed(format!(
            "event {} is sealed, and names no key in {SUBJECT_KEY}",
            event.id
        )));
    };
    let id = named.parse().map_err(|_| {
        Error::sealed(format!(
            "event {} is sealed, and {SUBJECT_KEY} is no id of a key",
            event.id
        ))
    })?;
    Ok(Some(id))
}
