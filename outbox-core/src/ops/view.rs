//! The public views, by name.

/// Which half of the schema a database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halves {
    /// The log, which producers append to and relays publish from.
    pub log: bool,
    /// The inbox, which consumers keep.
    pub inbox: bool,
}

/// A view of schema `outbox_ops`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// One row: does work move, and if not, why.
    Summary,
    /// Why something stands still, each cause for itself.
    Causes,
    /// Streams with events to publish.
    Backlog,
    /// Every stream: retention, progress, whether it waits for a person.
    Topics,
    /// The newest batches.
    Batches,
    /// Relay processes.
    Relays,
    /// Open transactions and what each holds back.
    WaitingTransactions,
    /// Streams at the sink: how long, how far trimmed, who holds them.
    Streams,
    /// Consumer groups that streams wait for.
    StreamGroups,
    /// What groups miss on streams.
    Holes,
    /// Streams that are put out again, and how far that is.
    Reissues,
    /// What cannot be put out again.
    Losses,
    /// Consumer groups and their streams.
    Inbox,
    /// What consumers gave up and waits for a person, by what went wrong.
    DeadLetters,
}

impl View {
    /// Every view, in the order in which a report shows them.
    pub const ALL: [Self; 14] = [
        Self::Summary,
        Self::Causes,
        Self::Backlog,
        Self::Topics,
        Self::Batches,
        Self::Relays,
        Self::WaitingTransactions,
        Self::Streams,
        Self::StreamGroups,
        Self::Holes,
        Self::Reissues,
        Self::Losses,
        Self::Inbox,
        Self::DeadLetters,
    ];

    /// The name of the view.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::Causes => "causes",
            Self::Backlog => "backlog",
            Self::Topics => "topics",
            Self::Batches => "batches",
            Self::Relays => "relays",
            Self::WaitingTransactions => "waiting_transactions",
            Self::Streams => "streams",
            Self::StreamGroups => "stream_groups",
            Self::Holes => "holes",
            Self::Reissues => "reissues",
            Self::Losses => "losses",
            Self::Inbox => "inbox",
            Self::DeadLetters => "dead_letters",
        }
    }

    /// Whether a database with these halves has the view.
    #[must_use]
    pub fn is_in(self, halves: Halves) -> bool {
        match self {
            Self::Inbox | Self::DeadLetters => halves.inbox,
            _ => halves.log,
        }
    }

    pub(super) fn query(self) -> &'static str {
        match self {
            Self::Summary => include_str!("../../queries/ops/summary.sql"),
            Self::Causes => include_str!("../../queries/ops/causes.sql"),
            Self::Backlog => include_str!("../../queries/ops/backlog.sql"),
            Self::Topics => include_str!("../../queries/ops/topics.sql"),
            Self::Batches => include_str!("../../queries/ops/batches.sql"),
            Self::Relays => include_str!("../../queries/ops/relays.sql"),
            Self::WaitingTransactions => include_str!("../../queries/ops/waiting_transactions.sql"),
            Self::Streams => include_str!("../../queries/ops/streams.sql"),
            Self::StreamGroups => include_str!("../../queries/ops/stream_groups.sql"),
            Self::Holes => include_str!("../../queries/ops/holes.sql"),
            Self::Reissues => include_str!("../../queries/ops/reissues.sql"),
            Self::Losses => include_str!("../../queries/ops/losses.sql"),
            Self::Inbox => include_str!("../../queries/ops/inbox.sql"),
            Self::DeadLetters => include_str!("../../queries/ops/dead_letters.sql"),
        }
    }
}
