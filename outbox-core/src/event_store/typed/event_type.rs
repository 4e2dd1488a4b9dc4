//! Pure: which types of events an enum has.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::upcast::Upcasters;

/// A type of events, and the version of its data that this program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventType {
    /// As stored: `order.paid`.
    pub name: &'static str,
    /// From 1 on; one more with each change that older programs, or older data, would not understand.
    pub version: u32,
}

impl EventType {
    /// This type at this version.
    #[must_use]
    pub const fn new(name: &'static str, version: u32) -> Self {
        Self { name, version }
    }
}

/// An enum whose variants are types of events: `#[serde(tag = "type", content = "data")]`, each variant with
/// `#[serde(rename = "…")]` for its name.
pub trait TypedEvent: Serialize + DeserializeOwned {
    /// All of its types, each with the version that is written.
    const TYPES: &'static [EventType];

    /// What makes older data of them, and types that have other names now.
    #[must_use]
    fn upcasters() -> Upcasters {
        Upcasters::none()
    }

    /// Whom this event is about: its data is sealed with a key of theirs, so that it can be
    /// [forgotten](crate::event_store::forget). None: it is stored as it is.
    #[must_use]
    fn data_subject(&self) -> Option<String> {
        None
    }

    /// What stands for an event of this type whose data was forgotten. None: such an event is an error.
    #[must_use]
    fn forgotten(event_type: &str) -> Option<Self> {
        let _ = event_type;
        None
    }
}
