//! Tailing: turns a log that many transactions write at once into one chain of batches, missing nothing.
//!
//! **What it does.** A batch is the rows visible in one snapshot and not in the snapshot of the batch before
//! ([`cut_batch.sql`](../../../queries/tail/cut_batch.sql) is the line that decides "which rows are in this batch").
//! Nothing is skipped or seen twice, by construction: no timer, no guess about gaps, no waiting for strangers. Where it is two statements,
//! the snapshot of the first one is that of both: one that counts and one that cuts are one transaction, and one that brings a few says in
//! which snapshot, which the one behind it stores (`look`).
//!
//! **Who is authoritative.** The ledger (`outbox.batch`): a batch is a fact that is committed before anything of it is
//! published, so it is the same rows in the same order however often it is read. Who may cut is decided by a lease with
//! an epoch on the database clock; that two leaders cannot fork the chain is decided by its unique numbers alone.
//!
//! **State.** `Standby → (lease) → verify → Awake ⇄ Asleep → (lease lost | signal) → Standby`; see [`doorbell`].
//!
//! **Invariants.** The ledger's numbers have no gap; a snapshot never has a lower xmax than the one before; the lock of the
//! doorbell is held only while asleep; transactions of the relay never append.
//!
//! **Partitions.** Which partition a row goes to is decided where its batch is cut, by the layout of its topic in the same
//! snapshot ([`layout`]). A topic that should have more partitions is laid first, as a row of the same chain.
//!
//! **How it fails.** A lost connection: reconnect, take the lease, read the ledger, go on. A cut whose outcome is unknown:
//! the ledger is read; if the batch is not there, it is cut again. A database that is not the one of the ledger, or has
//! gone back in time, or is a standby: refused, with the reason ([`ledger`]).
//!
//! **Deliberately absent.** No lower bound on positions from an earlier batch (an open transaction may still commit an
//! older one), no order by transaction id (it breaks the order per key), no flag that is set on rows.

pub mod batch;
pub mod row;

pub mod doorbell;

pub mod ledger;

pub mod layout;

pub mod lease;

pub mod partition;

pub mod reissue;

pub mod pieces;

pub mod snapshot;

pub mod stream;

pub mod candidate;

pub mod run;

pub mod upkeep;

pub(crate) mod history;

mod look;

pub(crate) mod tally;

mod error;

mod options;

pub mod pg;

pub use error::{Error, Kind};
pub use options::Options;
pub use partition::partition_of;
pub use stream::StreamId;
