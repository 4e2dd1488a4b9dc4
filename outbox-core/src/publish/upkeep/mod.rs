//! Looking after the streams at the sink, beside publishing: who reads them, how far they may be trimmed, and what is missing.
//!
//! **Who is authoritative.** The sink for what is on a stream and what its groups have acknowledged; `outbox.stream_group` for
//! which groups count; `outbox.trim_floor` for what may be gone; the ledger for what belongs where.
//!
//! **Invariants.** A floor is committed, and with it the progress above it, before the first entry below it is taken off.
//! Only the leader does anything here, and asks its lease before each step; what a leader that lost it still does is the
//! same that its successor would do: acknowledgements are facts whoever reads them.
//!
//! A stream that lost everything is put out again from its floor on, as far as the log has it; what is between is recorded as lost
//! ([`losses`]). What is put out again begins behind an entry that is in its place ([`super::repair`] says why), and the ledger says so
//! before the first entry leaves.
//!
//! **How it fails.** The sink or the database away: everything here waits, and goes on where it was. Killed between the
//! floor and the trimming: the next leader finds entries below a floor and takes them off. A stream that cannot be looked
//! at is left alone, and said.
//!
//! **Deliberately absent.** Trimming by length, except as the hard cap that somebody asked for. Removing groups or
//! consumers of a group. Entries are never deleted one by one.

mod cut;

mod holes;

mod losses;

mod orders;

mod pg;

mod progress;

mod run;

mod survey;

mod trimming;

pub use run::{Parts, run};
