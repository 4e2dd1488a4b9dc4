//! Files into the outbox: each line of NDJSON or row of CSV becomes an event, or several.
//!
//! ```text
//!   file ──records──▶ mapping ──batches──▶ one transaction: events appended, progress moved
//! ```
//!
//! Authoritative for what is imported is `outbox_import.progress` in the same database: a row per import with how many
//! records are done and the digest of those records. It moves in the transaction of the events, so a killed import that is
//! started again goes on where it was and adds nothing twice.
//!
//! Invariants:
//! * The events of one record are in one transaction, in the order of the options; records are in the order of the file.
//! * An import goes on only over the same beginning (by digest) and with the same mapping; otherwise it is refused.
//! * Of two runs of one import at a time, one goes on and the other is refused.
//!
//! Failure: a record that cannot be an event is named by its line; it is skipped or ends the import there, as was asked.
//! Everything before it is imported in both cases.
//!
//! Deliberately absent: deduplication by event id. The log is partitioned and has no index over all ids, so an id alone
//! would not make a second run harmless; the progress does.
//!
//! Memory is bounded by two batches; a line of NDJSON above [`LINE_BYTES_MAX`] is a bad line and is not kept. A CSV row
//! with a quote that never closes is read to the end of the file, as CSV is.

mod arguments;
pub use arguments::Arguments;

mod selector;

mod mapping;

mod record;
pub use record::LINE_BYTES_MAX;

mod batch;

mod input;

mod pg;

mod bar;

mod error;
pub use error::Error;

mod run;
pub use run::{Summary, run};

#[cfg(test)]
mod tests;
