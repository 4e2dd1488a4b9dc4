//! Pure: what an inspection found at both ends.

use serde::{Serialize, Serializer};

use crate::event::EntryId;
use crate::tail::StreamId;
use crate::tail::ledger::Unknown;

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// Of the server, then and now.
    pub identity: Identity,
    /// Why a relay refuses because of the server; none if it would not.
    pub server_refusal: Option<String>,
    /// What a relay refused, and no recovery has closed yet.
    pub refused: Option<String>,
    /// The last batch of the ledger.
    pub ledger_batch: i64,
    /// Its id.
    pub ledger_batch_id: u64,
    /// Where the sequence of positions is.
    pub sequence: i64,
    /// The highest position seen on an entry of ours. Above the sequence: it would be used again.
    pub highest_position_seen: u64,
    /// The highest first half of an entry id seen.
    pub highest_batch_id_seen: u64,
    /// Rows of the log that no batch holds; 100,000 of a kind at most are counted.
    pub events_in_no_batch: i64,
    /// The streams.
    pub streams: Vec<StreamFinding>,
    /// Keys that tell of more partitions than this ledger.
    pub layouts_ahead: Vec<String>,
    /// Streams that this database published and does not know.
    pub unknown_streams: Vec<String>,
    /// Whether all keys of the sink could be looked through for them.
    pub searched: bool,
    /// Prepared transactions that appended: an era waits for them, and they end when a person ends them.
    pub prepared: Vec<String>,
    /// The database's clock, in milliseconds: what the ids of batches are made of.
    pub clock_ms: u64,
    /// A recovery that was begun and not finished.
    pub unfinished: Option<Unfinished>,
}

/// The server that the era was opened on, and the one that answers.
#[derive(Clone, Debug, Serialize)]
pub struct Identity {
    /// The era.
    pub era: i32,
    /// System identifier then.
    pub system_then: i64,
    /// System identifier now.
    pub system_now: i64,
    /// Timeline when the era was opened.
    pub timeline_then: i32,
    /// Timeline now; none on a standby.
    pub timeline_now: Option<i32>,
    /// The next transaction id, as the last batch saw it.
    pub next_transaction_then: u64,
    /// The next transaction id now.
    pub next_transaction_now: u64,
    /// Identity of this database, as marks have it.
    pub database_id: String,
    /// Whether the server is a standby.
    pub in_recovery: bool,
}

/// A recovery that was begun.
#[derive(Clone, Debug, Serialize)]
pub struct Unfinished {
    /// Its number.
    pub number: i64,
    /// What was chosen.
    pub strategy: String,
    /// Of the era that it opened; none if it did not come so far.
    pub batch_id: Option<i64>,
    /// Whether it may have taken entries off streams.
    pub removing: bool,
    /// How many entries it has kept in order to take them off.
    pub removed: i64,
}

/// What the mark beside a stream says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum MarkFinding {
    /// There is none.
    Absent,
    /// Of a batch of this ledger.
    Known {
        /// The batch.
        batch_id: u64,
    },
    /// Of a batch that this ledger never cut.
    Unknown {
        /// The batch.
        batch_id: u64,
    },
    /// Of this database under another number: it was loaded from a dump, or copied.
    Moved {
        /// The batch.
        batch_id: u64,
        /// The database as it was called there.
        database_id: String,
    },
    /// Of another database: the stream is not ours.
    Foreign {
        /// Whose it is.
        database_id: String,
    },
    /// It cannot be read.
    Unreadable {
        /// Why.
        why: String,
    },
}

/// What was found about one stream.
#[derive(Clone, Debug, Serialize)]
pub struct StreamFinding {
    /// Its key.
    pub key: String,
    /// Which stream it is.
    #[serde(serialize_with = "as_text")]
    pub stream: StreamId,
    /// Its topic.
    pub topic: String,
    /// What the ledger keeps it under: 0 is the stream without a number, n + 1 is partition n.
    pub slot: i32,
    /// Whether it is of the present layout of its topic: one of an earlier layout takes nothing more.
    pub is_current: bool,
    /// Whether it has not had all of an earlier layout.
    pub owes: bool,
    /// The entry that ends the earlier layout on it, if it had one.
    #[serde(serialize_with = "as_entry")]
    pub layout_end: Option<EntryId>,
    /// Whether that one is still there.
    pub layout_end_there: bool,
    /// Its mark.
    pub mark: MarkFinding,
    /// Its last entry.
    #[serde(serialize_with = "as_entry")]
    pub top: Option<EntryId>,
    /// The highest id that it ever had.
    #[serde(serialize_with = "as_entry")]
    pub generated: Option<EntryId>,
    /// The last entry that the ledger knows.
    #[serde(serialize_with = "as_entry")]
    pub known: Option<EntryId>,
    /// The entry last put there, as the database recorded it.
    #[serde(serialize_with = "as_entry")]
    pub recorded: Option<EntryId>,
    /// The last entry of ours, known or not.
    #[serde(serialize_with = "as_entry")]
    pub last: Option<EntryId>,
    /// Entries that the database does not know.
    pub unknown: UnknownEntries,
    /// Its groups.
    pub groups: Vec<GroupFinding>,
}

impl StreamFinding {
    /// Whether this database may write to it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        !matches!(
            self.mark,
            MarkFinding::Foreign { .. } | MarkFinding::Unreadable { .. }
        )
    }

    /// Whether something was put there that this ledger does not have: an entry of a relay, or a mark. What strangers add says
    /// nothing.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.unknown.count > 0 || matches!(self.mark, MarkFinding::Unknown { .. })
    }

    /// Whether it refuses ids that this ledger, which ends at `ledger`, has given: it had a higher one.
    #[must_use]
    pub fn outruns(&self, ledger: u64) -> bool {
        self.generated.is_some_and(|id| id.batch_id > ledger)
    }

    /// The highest first half of an id that it, or its mark, ever had.
    #[must_use]
    pub fn highest_batch_id(&self) -> u64 {
        let marked = match &self.mark {
            MarkFinding::Known { batch_id }
            | MarkFinding::Unknown { batch_id }
            | MarkFinding::Moved { batch_id, .. } => *batch_id,
            _ => 0,
        };
        marked.max(self.generated.map_or(0, |id| id.batch_id))
    }
}

/// Entries that the database does not know.
#[derive(Clone, Debug, Default, Serialize)]
pub struct UnknownEntries {
    /// How many.
    pub count: u64,
    /// The lowest.
    #[serde(serialize_with = "as_entry")]
    pub first: Option<EntryId>,
    /// The highest.
    #[serde(serialize_with = "as_entry")]
    pub last: Option<EntryId>,
    /// The latest of them, highest first.
    pub entries: Vec<UnknownEntry>,
}

/// One of them.
#[derive(Clone, Debug, Serialize)]
pub struct UnknownEntry {
    /// Its id.
    #[serde(serialize_with = "as_text")]
    pub id: EntryId,
    /// The event.
    pub event_id: String,
    /// Why it is not of this ledger.
    #[serde(serialize_with = "said")]
    pub why: Unknown,
}

/// How far a group has come.
#[derive(Clone, Debug, Serialize)]
pub struct GroupFinding {
    /// Its name.
    pub name: String,
    /// The entry last delivered to it.
    #[serde(serialize_with = "as_text")]
    pub delivered: EntryId,
    /// Entries delivered and not acknowledged.
    pub pending: u64,
    /// Unknown entries that were delivered to it, counted among the latest that are listed at least.
    pub unknown_read: u64,
}

fn as_text<T: ToString, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

fn as_entry<S: Serializer>(id: &Option<EntryId>, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => serializer.serialize_str(&id.to_string()),
        None => serializer.serialize_none(),
    }
}

fn said<S: Serializer>(why: &Unknown, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(why.said())
}
