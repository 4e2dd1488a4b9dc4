//! Pure: the kinds of failure, and the word of each.

/// What a failure says about the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// It may pass by itself: tried again.
    Transient,
    /// Trying again cannot help: given up at once.
    Poison,
    /// The entry is no event: given up at once.
    Unreadable,
    /// Nobody can say any more whether it had its effect: given up at once, and its key goes on.
    TooOld,
    /// Something that the handler needs is down: no attempt, unless it is so for this event and not for others of its type.
    Dependency,
    /// The event has a version that this member does not know: it waits for one that does.
    UnknownVersion,
}

impl FailureKind {
    /// A stable word for views.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Poison => "poison",
            Self::Unreadable => "unreadable",
            Self::TooOld => "too_old",
            Self::Dependency => "dependency",
            Self::UnknownVersion => "unknown_version",
        }
    }
}
