//! Reading across streams: all of them, or those of some categories and types.
//!
//! Authoritative: `outbox.read_events` (0024_reads.sql), which says there how a page is found.
//!
//! Invariants:
//! * A read ends behind everything that could be seen when it began, and what is gone on from there is exactly what could not: an event
//!   of a transaction that commits late is neither missed nor seen twice, wherever its position lies.
//! * A page is bounded in events, bytes and rows looked at, and costs the same wherever it lies and however much is stored.
//! * Events of one stream come in their order.
//!
//! Failure: [`Error::Cursor`](crate::event_store::Error::Cursor) for a cursor of another era, server or read; the transaction is aborted.
//!
//! Deliberately absent: reading on a standby, whose snapshots leave out transactions in progress.

mod wanted;
pub use wanted::EventRead;

mod page;
pub use page::EventPage;

mod pg;
pub use pg::{newest_cursor, read_events, read_events_page};
