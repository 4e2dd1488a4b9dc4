//! Recovering when the database and the streams do not agree: a database that went back in time, moved, or was copied.
//!
//! **What it does.** [`inspect`] looks at both ends and changes nothing. [`apply`] keeps every entry that the database does not
//! know, whole; takes them off or leaves them, as the person chose; and opens a new era: a row of the ledger that puts
//! everything which is on no stream yet there, behind an entry that is there, with ids above whatever was seen.
//!
//! **Who is authoritative.** The sink for what is on the streams, the ledger and the log for what they should hold, and a person
//! for which of the two is right. Entries are compared by id *and* by the id of the event: positions may be used again.
//!
//! **Invariants.** Nothing is taken off a stream that was not kept before. The era is one transaction. No relay leads meanwhile:
//! the leases are held. A mark that this ledger never cut, and with it the refusal to publish, lasts until the era is there.
//!
//! **How it fails.** What cannot succeed is refused before anything is changed. Killed at any point: run again with the same
//! strategy, it goes on where it was ([`apply`]); or given up ([`abandon`]), which says what was taken off already.
//!
//! **Deliberately absent.** A choice by itself: which history is true is not in the data. Undoing effects of events that the
//! database does not know: the groups that had read them are named, people reconcile.

mod finding;

mod plan;

mod pg;

pub mod inspect;

mod hold;

pub mod apply;

mod settle;

pub mod abandon;

pub use finding::{
    Found, GroupFinding, Identity, MarkFinding, StreamFinding, Unfinished, UnknownEntries, UnknownEntry,
};
pub use plan::{Choice, Plan, Strategy, StreamPlan, choices, plan};
