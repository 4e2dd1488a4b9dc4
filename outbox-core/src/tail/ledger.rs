//! Pure: may a relay go on from the end of this ledger on this server? Fails closed.
//!
//! A ledger belongs to one physical history of one database. After a dump and restore, a logical upgrade or a restore to
//! an earlier time, transaction ids start again below the last snapshot: new rows would silently never be selected.

use super::batch::Batch;
use super::snapshot::Snapshot;
use crate::event::EntryId;

/// What the database says about itself and its ledger.
#[derive(Clone, Debug)]
pub struct Head {
    /// The last batch.
    pub batch: Batch,
    /// The era that the ledger is in.
    pub era: i32,
    /// What is not above this position was appended before the era.
    pub position_floor: i64,
    /// Identity of the server that the era was opened on.
    pub system_identifier: i64,
    /// Identity of the server that answers now.
    pub system_identifier_now: i64,
    /// Whether the server is a standby.
    pub in_recovery: bool,
    /// What this session sees now.
    pub snapshot_now: Snapshot,
    /// Identity of this database, as marked at the sink.
    pub database_id: String,
    /// Name that separates several writing databases of one topic.
    pub writer: Option<String>,
    /// The oldest batch that the ledger still holds.
    pub oldest_batch_id: u64,
    /// What a relay refused, if no recovery has closed it.
    pub refused: Option<Refused>,
    /// A recovery that was begun and is not done.
    pub begun: Option<Begun>,
}

/// A refusal as the database keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its number, in `outbox.refusal`.
    pub number: i64,
    /// Its word.
    pub code: String,
    /// What was seen.
    pub said: String,
    /// When.
    pub at: String,
}

/// A recovery that is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its number, in `outbox.recovery`.
    pub number: i64,
    /// What was chosen.
    pub strategy: String,
}

/// Why a relay must not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server is a standby: its snapshots do not list open transactions.
    Standby,
    /// Another server than the one that the era was opened on.
    OtherSystem {
        /// Identity in the ledger.
        expected: i64,
        /// Identity of the server.
        found: i64,
    },
    /// The server's transactions are behind the ledger's last snapshot.
    BackInTime {
        /// xmax of the last batch.
        ledger: u64,
        /// xmax now.
        now: u64,
    },
    /// An event has the id of a transaction that the last batch took for seen, and no batch has it: the server's transactions were
    /// behind that snapshot when it was appended.
    PassedOver {
        /// Its position.
        position: i64,
        /// The transaction.
        transaction: String,
    },
    /// The sink was last published to from a batch that this ledger never cut.
    UnknownMark {
        /// Key of the mark.
        key: String,
        /// Batch id in the mark.
        marked: u64,
        /// Last batch id in the ledger.
        head: u64,
    },
    /// A stream holds an entry that is not of this ledger.
    UnknownEntry {
        /// Key of the stream.
        key: String,
        /// The entry.
        id: EntryId,
        /// The event stored there.
        event_id: String,
        /// What is not so.
        why: Unknown,
    },
    /// A mark is of this database under another number: it was loaded from a dump, or copied.
    MovedMark {
        /// Key of the mark.
        key: String,
        /// The database as it was called there.
        theirs: String,
        /// As it is called here.
        ours: String,
    },
    /// The sink tells of more partitions than this ledger ever laid.
    LayoutAhead {
        /// Key of the layout.
        key: String,
        /// What is there.
        found: String,
        /// What this ledger says; none: the topic has one stream.
        ours: Option<String>,
    },
    /// This database has published a stream that it does not know.
    UnknownTopic {
        /// Key of the mark.
        key: String,
        /// The stream.
        stream: String,
        /// Batch id in the mark.
        marked: u64,
    },
    /// A relay of this database found at the sink what is not of this ledger, and nobody has decided since.
    Kept(Refused),
    /// A person chose, and what was chosen is half done.
    Unfinished(Begun),
}

/// Why an entry is not of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Its batch was never cut.
    Batch,
    /// Its batch has no such position on the stream.
    Place,
    /// The log has another event at its position: the position was used again.
    Event,
}

impl Unknown {
    /// From the word that the query says.
    #[must_use]
    pub fn read(word: &str) -> Self {
        match word {
            "place" => Self::Place,
            "event" => Self::Event,
            _ => Self::Batch,
        }
    }

    /// For people.
    #[must_use]
    pub fn said(self) -> &'static str {
        match self {
            Self::Batch => "the ledger never cut its batch",
            Self::Place => "its batch has no such position on the stream",
            Self::Event => "the log has another event at its position",
        }
    }
}

impl Refusal {
    /// A stable word for scripts and alerts; the text begins with it.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Standby => "POSTGRES-IS-STANDBY",
            Self::OtherSystem { .. } | Self::MovedMark { .. } => "POSTGRES-MOVED",
            Self::BackInTime { .. } | Self::PassedOver { .. } => "POSTGRES-WENT-BACK",
            Self::UnknownMark { .. } | Self::UnknownEntry { .. } => "STREAM-IS-AHEAD",
            Self::LayoutAhead { .. } => "LAYOUT-IS-AHEAD",
            Self::UnknownTopic { .. } => "TOPIC-UNKNOWN",
            Self::Kept(refused) => &refused.code,
            Self::Unfinished(_) => "RECOVERY-UNFINISHED",
        }
    }

    /// What was seen and what it means, without the word.
    #[must_use]
    pub fn said(&self) -> String {
        Said(self).to_string()
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code(), Said(self))
    }
}

/// A refusal without its word.
struct Said<'a>(&'a Refusal);

impl std::fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Refusal::Standby => f.write_str(
                "the server is a standby (pg_is_in_recovery): its snapshots miss open transactions and events would be lost; \
                 point the relay at the primary, e.g. with target_session_attrs=read-write",
            ),
            Refusal::OtherSystem { expected, found } => write!(
                f,
                "the ledger was written on server {expected}, this is server {found}: a dump was loaded or the database was \
                 upgraded logically, and its snapshots mean nothing here; nothing is published until a person opens a new era",
            ),
            Refusal::BackInTime { ledger, now } => write!(
                f,
                "the last batch has seen transactions up to {ledger}, this server is at {now}: Postgres went back in time \
                 (restore or a stale standby was promoted); nothing is published until a person decides",
            ),
            Refusal::PassedOver { position, transaction } => write!(
                f,
                "the event at position {position} is of transaction {transaction}, which the last batch took for seen, and no batch has it: \
                 Postgres went back in time, and events were appended before its transactions had come to where they were; nothing is \
                 published until a person decides",
            ),
            Refusal::UnknownMark { key, marked, head } => write!(
                f,
                "{key} at the sink says batch {marked} was published, which this ledger never cut (it ends at {head}): Postgres \
                 went back in time behind the sink, or a copy of it publishes too; nothing is published until a person decides",
            ),
            Refusal::UnknownEntry {
                key,
                id,
                event_id,
                why,
            } => write!(
                f,
                "stream {key} holds entry {id} (event {event_id}), which is not of this ledger: {}; Postgres went back in time \
                 behind the sink, or a copy of it publishes too; nothing is published until a person decides",
                why.said()
            ),
            Refusal::MovedMark { key, theirs, ours } => write!(
                f,
                "{key} at the sink is of this database as it was elsewhere ({theirs}; here it is {ours}): it was copied, or a dump was \
                 loaded; nothing is published until a person says which of the two goes on",
            ),
            Refusal::LayoutAhead { key, found, ours } => write!(
                f,
                "{key} at the sink says {found}, this ledger {}: the topic got more partitions in a time that this database does not \
                 know, and consumers wait for them; publish to another redis.prefix and have its consumers rebuild (or another database \
                 laid them: set outbox.settings.writer in one of the two)",
                ours.as_deref().unwrap_or("one stream"),
            ),
            Refusal::UnknownTopic { key, stream, marked } => write!(
                f,
                "{key} at the sink says that this database published batch {marked} to stream {stream}, and it knows neither: Postgres \
                 went back in time behind the sink, or a copy of it publishes too; nothing is published until a person decides",
            ),
            Refusal::Kept(refused) => write!(
                f,
                "{} (refusal {} of {}: it stands until `outbox-relay recover apply` closes it, also where what was seen is gone since)",
                refused.said, refused.number, refused.at
            ),
            Refusal::Unfinished(begun) => write!(
                f,
                "recovery {} was begun with {} and is not done; run `outbox-relay recover apply --strategy {}` again: it goes on where it was; \
                 or give it up with `outbox-relay recover abandon`",
                begun.number, begun.strategy, begun.strategy
            ),
        }
    }
}

/// Checks that a relay may go on from the end of this ledger: on this server, and by what was decided before.
///
/// # Errors
/// The first reason found not to go on.
pub fn verify(head: &Head) -> Result<(), Refusal> {
    verify_server(head)?;
    if let Some(begun) = &head.begun {
        return Err(Refusal::Unfinished(begun.clone()));
    }
    match &head.refused {
        Some(refused) => Err(Refusal::Kept(refused.clone())),
        None => Ok(()),
    }
}

/// Whether a refusal must be kept: a server whose transactions are behind the ledger has come to it some day, and what was appended
/// until then is in no batch. What is kept or begun already says as much, and the others do not go away by themselves.
#[must_use]
pub fn is_to_be_kept(head: &Head, refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::BackInTime { .. }) && head.refused.is_none() && head.begun.is_none()
}

/// Checks that the ledger's history is this server's history.
///
/// # Errors
/// The first reason found not to go on.
pub fn verify_server(head: &Head) -> Result<(), Refusal> {
    if head.in_recovery {
        return Err(Refusal::Standby);
    }
    if head.system_identifier != head.system_identifier_now {
        return Err(Refusal::OtherSystem {
            expected: head.system_identifier,
            found: head.system_identifier_now,
        });
    }
    let (ledger, now) = (head.batch.snapshot.xmax(), head.snapshot_now.xmax());
    if now < ledger {
        return Err(Refusal::BackInTime { ledger, now });
    }
    Ok(())
}

/// Checks a mark found at the sink: `known` says whether the ledger holds its batch, or did before that piece was dropped.
/// Whether the mark is behind the end of the ledger says nothing: a database that went back in time goes on cutting.
///
/// # Errors
/// [`Refusal::UnknownMark`] if it never did.
pub fn verify_mark(head: &Head, key: &str, marked: u64, known: bool) -> Result<(), Refusal> {
    if known {
        return Ok(());
    }
    Err(Refusal::UnknownMark {
        key: key.to_owned(),
        marked,
        head: head.batch.batch_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            batch: Batch {
                number: 4,
                batch_id: 900,
                snapshot: "90:100:".parse().unwrap(),
                event_count: 1,
            },
            era: 1,
            position_floor: 0,
            system_identifier: 7,
            system_identifier_now: 7,
            in_recovery: false,
            snapshot_now: "100:100:".parse().unwrap(),
            database_id: "d".to_owned(),
            writer: None,
            oldest_batch_id: 0,
            refused: None,
            begun: None,
        }
    }

    #[test]
    fn goes_on_where_the_history_is_the_same() {
        assert_eq!(verify(&head()), Ok(()));
        assert_eq!(verify_mark(&head(), "outbox:@mark:t", 900, true), Ok(()));
    }

    #[test]
    fn what_was_refused_or_begun_before_stands() {
        let refused = Refused {
            number: 3,
            code: "STREAM-IS-AHEAD".to_owned(),
            said: "the mark is of another".to_owned(),
            at: "2026-11-21T00:00:00Z".to_owned(),
        };
        let begun = Begun {
            number: 2,
            strategy: "republish".to_owned(),
        };
        let kept = verify(&Head {
            refused: Some(refused.clone()),
            ..head()
        });
        let said = kept.err().map(|refusal| refusal.to_string()).unwrap_or_default();
        assert!(
            said.starts_with("STREAM-IS-AHEAD: the mark is of another (refusal 3"),
            "{said}"
        );
        assert!(!is_to_be_kept(&head(), &Refusal::Standby));
        let behind = Refusal::BackInTime { ledger: 100, now: 99 };
        assert!(is_to_be_kept(&head(), &behind));
        let told = Head {
            refused: Some(refused.clone()),
            ..head()
        };
        assert!(!is_to_be_kept(&told, &behind), "once");
        // What is half done comes first: finishing it closes the other.
        let both = Head {
            refused: Some(refused),
            begun: Some(begun.clone()),
            ..head()
        };
        assert_eq!(verify(&both), Err(Refusal::Unfinished(begun)));
        assert_eq!(verify_server(&both), Ok(()));
    }

    #[test]
    fn refuses_standby_other_server_and_a_past() {
        assert_eq!(
            verify(&Head {
                in_recovery: true,
                ..head()
            }),
            Err(Refusal::Standby)
        );
        assert_eq!(
            verify(&Head {
                system_identifier_now: 8,
                ..head()
            }),
            Err(Refusal::OtherSystem {
                expected: 7,
                found: 8
            })
        );
        assert_eq!(
            verify(&Head {
                snapshot_now: "99:99:".parse().unwrap(),
                ..head()
            }),
            Err(Refusal::BackInTime { ledger: 100, now: 99 })
        );
        assert!(matches!(
            verify_mark(&head(), "m", 899, false),
            Err(Refusal::UnknownMark {
                marked: 899,
                head: 900,
                ..
            })
        ));
    }
}
