//! The port to a broker, and the pure reading of its answers.
//!
//! A sink takes parcels, each of one stream, and answers **per event**. It owns no retry and no reconnect: a connection
//! that failed is dropped, and its successor is compared with the ledger before anything is sent on it.

use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::Error;
use crate::event::EntryId;
use crate::event::envelope::{EVENT_FIELD, Written};

/// Opens connections to a broker.
pub trait Sink: Send + Sync {
    /// Connects. The connection has sent nothing yet.
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn SinkConnection>, Error>>;
}

/// One connection to a broker; several parcels of different streams may be in flight on it.
pub trait SinkConnection: Send + Sync {
    /// Puts a parcel on its stream: all entries or none, unless the stream itself refuses some.
    /// An error means that the outcome is unknown.
    fn publish(&self, parcel: Parcel) -> BoxFuture<'_, Result<Receipt, Error>>;

    /// What is found under the key of each mark.
    fn marks<'a>(&'a self, marks: &'a [String]) -> BoxFuture<'a, Result<Vec<Marked>, Error>>;

    /// Says how many partitions topics have: under each key the layout, if nothing is there or the beginning of it.
    fn announce<'a>(
        &'a self,
        layouts: &'a [(String, String)],
    ) -> BoxFuture<'a, Result<Vec<Announced>, Error>>;

    /// The last entry of each stream; none where it has none, is not readable, or its last entry is a stranger's.
    fn tops<'a>(&'a self, streams: &'a [String]) -> BoxFuture<'a, Result<Vec<Option<Top>>, Error>>;

    /// Entries of a stream above one and below another, highest first, at most `count`: each with the id of its event, unless it
    /// is a stranger's.
    fn between<'a>(
        &'a self,
        stream: &'a str,
        above: EntryId,
        below: EntryId,
        count: usize,
    ) -> BoxFuture<'a, Result<Vec<Seen>, Error>>;

    /// What the sink says about how many partitions topics have, by key; nothing where nothing can be read.
    fn layouts<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, Result<Vec<Option<String>>, Error>>;

    /// One bounded step of a search for keys of this pattern, from a cursor on ("0": the beginning): the keys, and where it goes
    /// on; none at the end, or where the sink does not allow it.
    fn search<'a>(&'a self, cursor: &'a str, pattern: &'a str) -> BoxFuture<'a, Result<Step, Error>>;

    /// How many entries each stream has; none where it does not say.
    fn lengths<'a>(&'a self, streams: &'a [String]) -> BoxFuture<'a, Result<Vec<Option<u64>>, Error>>;

    /// Whether each stream still holds the entry: of the first ones, until about so many bytes were read, and how many were. Entries may
    /// be large, and the sink tells of them whole.
    fn holds<'a>(
        &'a self,
        entries: &'a [(String, EntryId)],
        bytes: u64,
    ) -> BoxFuture<'a, Result<Held, Error>>;
}

/// Whether streams hold an entry, the first ones that were asked for, and the bytes that were read for that.
pub type Held = (Vec<Predecessor>, u64);

/// An entry that is there, and the id of its event; none of a stranger's.
pub type Seen = (EntryId, Option<String>);

/// A step of a search: the keys found, and where it goes on; none at its end.
pub type Step = (Vec<String>, Option<String>);

/// One event on its way.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `<batch_id>-<position>`.
    pub id: EntryId,
    /// What it says.
    pub fields: Fields,
}

/// The fields of an entry.
#[derive(Clone, Debug)]
pub enum Fields {
    /// One field `event`: an event that was written when it was read.
    Written {
        /// The event but for its predecessor.
        event: Written,
        /// The entry before it.
        previous: EntryId,
        /// Its id.
        id: Uuid,
    },
    /// As they are.
    Each {
        /// Id of the event.
        id: String,
        /// By name.
        fields: Vec<(String, Vec<u8>)>,
    },
}

impl Entry {
    /// Id of the event: what a stored entry is compared by.
    #[must_use]
    pub fn event_id(&self) -> String {
        match &self.fields {
            Fields::Written { id, .. } => id.to_string(),
            Fields::Each { id, .. } => id.clone(),
        }
    }

    /// Bytes of its fields.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.fields {
            Fields::Written { event, previous, .. } => EVENT_FIELD.len() + event.structured_bytes(*previous),
            Fields::Each { fields, .. } => fields.iter().map(|(name, value)| name.len() + value.len()).sum(),
        }
    }

    /// Its fields, names and values.
    #[must_use]
    pub fn into_fields(self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let bytes = |(name, value): (String, Vec<u8>)| (name.into_bytes(), value);
        self.fields.into_each().into_iter().map(bytes).collect()
    }
}

impl Fields {
    /// Names and values.
    #[must_use]
    pub fn into_each(self) -> Vec<(String, Vec<u8>)> {
        match self {
            Self::Written { event, previous, .. } => {
                vec![(EVENT_FIELD.to_owned(), event.structured(previous))]
            }
            Self::Each { fields, .. } => fields,
        }
    }
}

/// Who published last on a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Batch of the entries.
    pub batch_id: u64,
    /// Identity of the writing database.
    pub database_id: String,
    /// Epoch of the leader.
    pub epoch: i64,
    /// For how many seconds entries stay on the stream; 0 for ever.
    pub retention: u64,
}

/// The last entry of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Top {
    /// Its id.
    pub id: EntryId,
    /// The event stored there.
    pub event_id: String,
}

/// What is found under the key of a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marked {
    /// Nothing: nothing was published to the stream yet.
    Never,
    /// Who published last.
    By(Mark),
    /// The sink does not say, or it is not a mark: whose the stream is, is not known.
    Unreadable(String),
}

/// Whether the sink says how many partitions a topic has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announced {
    /// It does.
    Known,
    /// It does not, or says something else.
    Refused(String),
}

/// What to do about a layout, given what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Announcing {
    /// It is there.
    Nothing,
    /// It is not there, or its beginning is.
    Set,
    /// More than it is there: whoever wrote that knows more than this ledger.
    Newer,
    /// Something else is there.
    Other,
}

/// Whether this is a layout at all: `1@0,4@1790000000000`.
fn is_layout(found: &str) -> bool {
    found.split(',').all(|generation| {
        generation.split_once('@').is_some_and(|(partitions, batch)| {
            partitions.parse::<u16>().is_ok() && batch.parse::<u64>().is_ok()
        })
    })
}

/// Compares a layout with what is there; a topic with one stream has none. Nothing newer is ever written over. The relay that
/// connects, the one that leads and a recovery all judge by this.
pub(super) fn announcing(found: Option<&str>, layout: Option<&str>) -> Announcing {
    let begins = |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with(','));
    let Some(layout) = layout else {
        return match found {
            None => Announcing::Nothing,
            Some(found) if is_layout(found) => Announcing::Newer,
            Some(_) => Announcing::Other,
        };
    };
    match found {
        None => Announcing::Set,
        Some(found) if found == layout => Announcing::Nothing,
        Some(found) if begins(layout, found) => Announcing::Set,
        Some(found) if begins(found, layout) => Announcing::Newer,
        Some(_) => Announcing::Other,
    }
}

/// What goes to one stream at once.
#[derive(Debug)]
pub struct Parcel {
    /// Key of the stream.
    pub stream: String,
    /// Key of its mark, with what to mark it with.
    pub mark: (String, Mark),
    /// The entry that must be on the stream before these; [`EntryId::MIN`] if these are its first.
    pub predecessor: EntryId,
    /// Entries below this id may have been trimmed: one that is not there any more was there.
    pub floor: EntryId,
    /// The entries, rising.
    pub entries: Vec<Entry>,
}

/// What a stream says about an entry that was confirmed before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Predecessor {
    /// It is there.
    Present,
    /// It is not: the stream lost entries.
    Missing,
    /// The stream cannot be asked (wrong type, no permission).
    Unreadable(String),
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// On the stream.
    Durable,
    /// On the stream since an earlier attempt.
    Repeated,
    /// The sink will never take this event.
    Rejected(String),
    /// The stream takes nothing until somebody mends it.
    Blocked(String),
    /// The stream has lost what was confirmed before.
    Lost(String),
}

/// The answers for a parcel, one per entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The stream's mark as it was before this parcel.
    pub marked: Option<Mark>,
    /// In the order of the entries.
    pub answers: Vec<Answer>,
}

impl Receipt {
    /// Whether something of the parcel is on the stream.
    #[must_use]
    pub fn confirms(&self) -> bool {
        matches!(self.answers.first(), Some(Answer::Durable | Answer::Repeated))
    }
}

/// Why a stream stops, other than by the sink as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// One event will never go through.
    Rejected(String),
    /// The stream takes nothing for now.
    Blocked(String),
    /// Entries are gone.
    Lost(String),
}

/// A receipt read from the head: only what has no gap before it counts.
#[derive(Debug, PartialEq, Eq)]
pub struct Settled {
    /// So many entries from the first on are on the stream.
    pub confirmed: usize,
    /// Of those, so many were there before.
    pub repeated: usize,
    /// Why the rest is not.
    pub halt: Option<Halt>,
}

/// Whether a mark is of this very database under another number: a copy within one server, or a dump that was loaded.
pub(super) fn is_elsewhere(theirs: &str, ours: &str) -> bool {
    let identity = |id: &str| id.split('/').next().map(str::to_owned);
    theirs != ours && identity(theirs) == identity(ours)
}

/// Why a stream is refused to this database: a stream has one writing database.
pub(super) fn foreign(stream: &str, theirs: &str, ours: &str) -> String {
    format!(
        "stream {stream} is written by database {theirs}, this is database {ours}: set outbox.settings.writer in one of them so that each has its own stream"
    )
}

/// Reads a receipt from the head.
#[must_use]
pub fn settle(receipt: Receipt) -> Settled {
    let mut settled = Settled {
        confirmed: 0,
        repeated: 0,
        halt: None,
    };
    for answer in receipt.answers {
        match answer {
            Answer::Durable => settled.confirmed += 1,
            Answer::Repeated => {
                settled.confirmed += 1;
                settled.repeated += 1;
            }
            Answer::Rejected(why) => settled.halt = Some(Halt::Rejected(why)),
            Answer::Blocked(why) => settled.halt = Some(Halt::Blocked(why)),
            Answer::Lost(why) => settled.halt = Some(Halt::Lost(why)),
        }
        if settled.halt.is_some() {
            break;
        }
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_layout_is_not_written_over() {
        let ours = Some("1@0,4@17");
        assert_eq!(announcing(None, ours), Announcing::Set);
        assert_eq!(announcing(Some("1@0"), ours), Announcing::Set);
        assert_eq!(announcing(Some("1@0,4@17"), ours), Announcing::Nothing);
        assert_eq!(announcing(Some("1@0,4@17,8@23"), ours), Announcing::Newer);
        assert_eq!(announcing(Some("1@0,4@175"), ours), Announcing::Other);
        assert_eq!(announcing(Some("x"), ours), Announcing::Other);
    }

    #[test]
    fn where_none_belongs_a_layout_is_newer_and_anything_else_is_not_one() {
        assert_eq!(announcing(None, None), Announcing::Nothing);
        assert_eq!(announcing(Some("1@0,4@17"), None), Announcing::Newer);
        assert_eq!(announcing(Some("x"), None), Announcing::Other);
        assert_eq!(announcing(Some("1@0,"), None), Announcing::Other);
    }

    #[test]
    fn a_database_elsewhere_has_the_same_identity_and_another_number() {
        assert!(is_elsewhere("a-b/5", "a-b/7"));
        assert!(!is_elsewhere("a-b/7", "a-b/7") && !is_elsewhere("a-c/7", "a-b/7"));
    }

    #[test]
    fn only_a_prefix_counts() {
        let receipt = Receipt {
            marked: None,
            answers: vec![
                Answer::Repeated,
                Answer::Durable,
                Answer::Rejected("too large".to_owned()),
                Answer::Durable,
            ],
        };
        assert_eq!(
            settle(receipt),
            Settled {
                confirmed: 2,
                repeated: 1,
                halt: Some(Halt::Rejected("too large".to_owned()))
            }
        );
    }
}
