//! Where a relay stands: the one word and the sentence that `/readyz`, the metrics and `status` show.
//!
//! Authoritative for readiness: ready means that this process moves events, or would at once if the leader died.

/// Where a relay stands at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not yet connected to both ends.
    Starting,
    /// Connected; another relay leads.
    Standby,
    /// This relay leads and work is moving (or there is none).
    Leading,
    /// This relay leads but cannot move anything for now; it goes on by itself when the cause ends.
    Waiting {
        /// What was seen and what it means.
        cause: String,
    },
    /// Going on would break a guarantee: a person must decide.
    Refused {
        /// What was seen, what it means, what to do.
        cause: String,
    },
}

impl Standing {
    /// Ready to take part: leading and moving, or standing by.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Standby | Self::Leading)
    }

    /// A stable word for labels and JSON: `starting`, `standby`, `leading`, `waiting` or `refused`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Standby => "standby",
            Self::Leading => "leading",
            Self::Waiting { .. } => "waiting",
            Self::Refused { .. } => "refused",
        }
    }

    /// Why it is not ready, in a sentence.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Waiting { cause } | Self::Refused { cause } => Some(cause),
            _ => None,
        }
    }
}
