//! Pure: at which version a stream is expected to be.

use std::fmt;

/// At which version a stream must be for an append to be made. The version is that of its last event, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// At any.
    Any,
    /// It has no event yet.
    NoStream,
    /// It has one at least.
    Exists,
    /// At this one; 0 is [`Expected::NoStream`].
    Version(u64),
}

impl Expected {
    /// As `outbox.append_to_streams` takes it: null, -1, or the version. A version that no stream can have stays one.
    pub(super) fn told(self) -> Option<i64> {
        match self {
            Self::Any => None,
            Self::NoStream => Some(0),
            Self::Exists => Some(-1),
            Self::Version(version) => Some(i64::try_from(version).unwrap_or(i64::MAX)),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any version"),
            Self::NoStream | Self::Version(0) => f.write_str("no such stream"),
            Self::Exists => f.write_str("a stream with events"),
            Self::Version(version) => write!(f, "version {version}"),
        }
    }
}
