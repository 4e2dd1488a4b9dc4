//! The event store: events of one thing, counted, in the same log as what is published. What is stored is what goes out, or stays
//! private; nothing is written twice.
//!
//! ```no_run
//! use outbox_core::append::NewEvent;
//! use outbox_core::event_store::{self, Expected, Outcome, StreamName, StreamRead};
//!
//! # async fn pay(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
//! let mut transaction = pool.begin().await?;
//! let order = StreamName::new("order", 7)?;
//! let seen = event_store::read_page(&mut transaction, &StreamRead::of(&order)).await?;
//! let version = seen.last().map_or(0, |event| event.version);
//! let paid = NewEvent::stored("order.paid").publish_to("orders").json(&serde_json::json!({ "cents": 1250 }));
//! match event_store::append(&mut transaction, &order, Expected::Version(version), vec![paid]).await? {
//!     Outcome::Appended { .. } | Outcome::AlreadyAppended { .. } => transaction.commit().await?,
//!     Outcome::Conflict { actual } => println!("the order is at version {actual} meanwhile: decide again"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Authoritative: `outbox.append_to_streams` (0033_plain.sql), which locks the streams, looks at their versions and only then draws
//! positions. The library checks the same rules of events before anything is sent.
//!
//! Invariants:
//! * Versions of a stream are 1, 2, 3 and so on, in the order of the commits; a unique index says so.
//! * A row of a stream is in the piece `log_stream` or, when it was archived, in `log_archive`; position and transaction id never change.
//! * Rows leave only through functions that write `outbox.stream_step` in the same transaction.
//!
//! Failure: [`Error::verdict`] and [`Error::advice`] say what follows. A conflict is an outcome, after which the transaction is as
//! usable as before.
//!
//! Deliberately absent: appending under REPEATABLE READ or SERIALIZABLE, where the version seen would be that of the beginning of the
//! transaction, and a store per service: streams are told apart by category.

pub mod append;
pub use append::{
    Appended, Conflict, Outcome, Outcomes, StreamAppend, append, append_streams, find_appended,
};

pub mod boundary;

mod cursor;
pub use cursor::{Cursor, NotACursor, SeenSnapshot};

pub mod decide;

mod error;
pub use error::Error;

mod expected;
pub use expected::Expected;

pub mod forget;

pub mod keep;

mod name;
pub use name::{NotAStreamName, StreamName};

mod pg;

pub mod projection;

pub mod read;
pub use read::{
    Direction, EventPage, EventRead, PageLimits, StreamListing, StreamRead, list_streams, newest_cursor,
    read_events, read_events_page, read_page, read_stream, stream_version,
};

mod stored;
pub use stored::StoredEvent;

pub mod subscription;

pub mod transfer;

pub mod typed;
