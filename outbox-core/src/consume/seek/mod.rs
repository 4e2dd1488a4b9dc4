//! Seeking: a group reads again from an earlier place, on the streams of one topic.
//!
//! The command holds the streams' leases itself, so no member applies meanwhile. It sets the group in Redis back, writes what
//! the streams no longer have onto a prelude beside each of them (read from the producer's log, in order, under the same
//! ids), and then, in **one** transaction, sets `outbox.consumer_stream` back and gives the leases up. That commit alone counts.
//! Whatever happens before it changes nothing for the group: its members take the streams over where they were, and find what
//! the group reads again superseded by what it had passed. So a seek that crashed is run again.
//!
//! What was applied before is a duplicate when it comes again. With the inbox forgotten it has its effect **again**: there the
//! step that counts comes before the first id is forgotten, and the leases are given up after the last. A seek that crashed in
//! between left a group that reads everything again and has forgotten a part of it; run again, it forgets the rest.
//!
//! Authoritative: the consumer's database for who may apply and what was passed; the producer's ledger for what was on a
//! stream. Invariants: everything is done under the leases' epochs; a prelude and its stream are one chain; entries that are
//! neither on a stream nor in the log are said to be missing before anything is done.

mod target;

mod plan;

mod request;

mod preview;

mod run;

mod history;

mod pg;

mod redis;

pub use preview::{Preview, StreamPreview, preview};
pub use request::{Ends, Request};
pub use run::{Done, Progress, execute};
pub use target::{NotATarget, Target};
