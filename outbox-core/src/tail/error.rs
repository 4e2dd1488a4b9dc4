//! What can go wrong while tailing, and what follows.

use crate::verdict::Verdict;

/// The kind of a tailing error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The database cannot be reached or the connection was lost.
    Connection,
    /// A statement took longer than its limit; its outcome is unknown and the connection is given up.
    Timeout,
    /// The server refused a statement.
    Statement,
    /// A row that this relay would write breaks a constraint of its table.
    Constraint,
    /// The server takes no writes: it is a standby, or it was made read only.
    ReadOnly,
    /// The server lacks something: room on its disk, memory, connections.
    Resources,
    /// A topic should have more partitions than it has: they are laid before the next batch.
    LayoutDue,
    /// Another leader holds this place in the ledger, or the lease is over.
    Superseded,
    /// Going on would break a guarantee.
    Refused,
    /// A row or an answer was not of the shape that this version knows.
    Shape,
}

impl Kind {
    /// A sentence for the operator: what to do.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Connection => "check that Postgres is up and DATABASE_URL is right; the relay keeps trying",
            Self::Timeout => "look for locks and load on Postgres; the relay reconnects and reads the ledger",
            Self::Statement => {
                "check the role's grants (outbox_relay, outbox_maintainer) and `outbox-relay migrate`"
            }
            Self::Constraint => {
                "a row of the ledger would break the constraint that is named: somebody wrote to schema outbox by hand, or the relay is not of \
                 the version of the schema; look at the newest rows of outbox.log and outbox.batch, and at `outbox-relay check`; the relay keeps trying"
            }
            Self::ReadOnly => {
                "point DATABASE_URL at the primary (target_session_attrs=read-write), promote the standby, or lift \
                 default_transaction_read_only; the relay keeps trying and goes on by itself"
            }
            Self::Resources => {
                "make room on Postgres (disk, memory, connections); the relay keeps trying and goes on by itself"
            }
            Self::LayoutDue => "nothing to do: the relay lays the partitions and goes on",
            Self::Superseded => "nothing to do: another relay leads",
            Self::Refused => "run `outbox-relay check`; nothing is published until a person decides",
            Self::Shape => "run the relay version that belongs to this schema (`outbox-relay migrate`)",
        }
    }
}

/// An error of the tail stage.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    context: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: Kind, context: impl Into<String>) -> Self {
        Self {
            kind,
            context: context.into(),
            source: None,
        }
    }

    pub(crate) fn with_source(
        kind: Kind,
        context: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            context: context.into(),
            source: Some(source.into()),
        }
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What follows from it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.kind {
            Kind::Connection
            | Kind::Timeout
            | Kind::Superseded
            | Kind::LayoutDue
            | Kind::Statement
            | Kind::Constraint
            | Kind::ReadOnly
            | Kind::Resources => Verdict::Retry,
            Kind::Refused | Kind::Shape => Verdict::Stop,
        }
    }

    /// A sentence for the operator: what to do.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        self.kind.advice()
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.context)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
