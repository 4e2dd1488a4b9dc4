//! Why a stored event is not one that the program knows.

use std::fmt;

use crate::event_store::{StoredEvent, StreamName};
use crate::verdict::Verdict;

/// A stored event that cannot be read as one of the program's. It was not passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its stream.
    pub stream: StreamName,
    /// Its place in the stream.
    pub version: u64,
    /// Its place in the log.
    pub position: i64,
    /// Its type, as stored.
    pub event_type: String,
    /// The version of its data, as stored; absent means 1.
    pub schema_version: Option<String>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with type, version or data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The program knows no such type, in no version.
    UnknownType,
    /// The program knows the type up to this version.
    TooNew {
        /// The last one that it knows.
        known: u32,
    },
    /// The version is no number from 1 on.
    NoVersion,
    /// There is no upcaster from this version on.
    NoUpcaster {
        /// The type that the chain has come to.
        name: String,
        /// The version that it has come to.
        version: u32,
    },
    /// An upcaster could not do it.
    Upcast {
        /// The type that it begins from.
        name: String,
        /// The version that it begins from.
        version: u32,
        /// What it said.
        said: String,
    },
    /// The data is sealed, and was not opened.
    Sealed,
    /// The data was forgotten, and the type has nothing to stand for it.
    Forgotten,
    /// The data is not JSON but bytes or text.
    NotJson,
    /// The data is not of the shape that the variant has.
    Shape {
        /// What is wanted, without what was there.
        said: String,
    },
}

impl Unreadable {
    pub(super) fn of(stored: &StoredEvent, fault: Fault) -> Box<Self> {
        Box::new(Self {
            stream: stored.stream.clone(),
            version: stored.version,
            position: stored.position,
            event_type: stored.event.r#type.clone(),
            schema_version: stored.event.schema_version.clone(),
            fault,
        })
    }

    /// What follows: nothing that reads this stream can go on as it is.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::Stop
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        self.fault.advice()
    }
}

impl Fault {
    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::UnknownType => {
                "Add a variant for this type and an entry in TYPES, or an upcaster to the type that took its place."
            }
            Self::TooNew { .. } => {
                "A newer program wrote it: deploy readers of a version before what writes it, and bring this one up to date."
            }
            Self::NoVersion => {
                "Correct what writes it: schema_version must be a whole number from 1 on, or absent."
            }
            Self::NoUpcaster { .. } => "Add the upcaster that is missing to upcasters().",
            Self::Upcast { .. } => {
                "Correct the upcaster: it must take everything that was ever written at this version."
            }
            Self::Sealed => "Open it first: give the repository the keyring, or call Keyring::open.",
            Self::Forgotten => "Let TypedEvent::forgotten say what stands for an event of this type.",
            Self::NotJson => "Read it without types: its payload is no JSON.",
            Self::Shape { .. } => {
                "The shape changed without a new version: raise the version in TYPES, and add an upcaster from the one before."
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType => f.write_str("this program knows no such type"),
            Self::TooNew { known } => write!(f, "this program knows it up to version {known}"),
            Self::NoVersion => f.write_str("that is no version"),
            Self::NoUpcaster { name, version } => {
                write!(f, "there is no upcaster from {name} version {version} on")
            }
            Self::Upcast { name, version, said } => {
                write!(f, "the upcaster from {name} version {version} says: {said}")
            }
            Self::Sealed => f.write_str("its data is sealed"),
            Self::Forgotten => f.write_str("its data was forgotten"),
            Self::NotJson => f.write_str("its data is no JSON"),
            Self::Shape { said } => write!(f, "its data {said}"),
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.schema_version.as_deref().unwrap_or("1");
        write!(
            f,
            "event {} of stream {} (position {}) is of type {:?} version {version:?}: {}. {}",
            self.version,
            self.stream,
            self.position,
            self.event_type,
            self.fault,
            self.advice()
        )
    }
}

impl std::error::Error for Fault {}

impl std::error::Error for Unreadable {}
