//! Appending: an event joins your transaction. It is published if and only if that transaction commits.
//!
//! ```no_run
//! # async fn place(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
//! use outbox_core::append::{self, NewEvent};
//!
//! let mut transaction = pool.begin().await?;
//! sqlx::query("insert into orders (id) values (7)").execute(&mut *transaction).await?;
//! let event = NewEvent::new("orders.placed").key("7").json(&serde_json::json!({ "order": 7 }));
//! let id = append::append(&mut transaction, event).await?;
//! transaction.commit().await?;
//! # let _ = id; Ok(())
//! # }
//! ```
//!
//! The same for `tokio-postgres` is [`tokio_postgres`]; for every other language it is the SQL function `outbox.append`.
//!
//! Authoritative: the database. `outbox.append_event` and `outbox.append_batch` check every rule again; this module checks the same rules
//! **before anything is sent**, so that a refused event does not poison your transaction.
//!
//! Invariants:
//! * One call is one round trip, and its events get rising positions in the order of the call.
//! * The payload is kept byte for byte: JSON travels as text, since a `jsonb` parameter re-orders keys.
//! * Order per key holds among writers that serialise on that key (a row lock or version check) before they append.
//!
//! **The same id twice** is refused within one call, and by a unique index where both rows lie in one piece of the log.
//! In two pieces, or in two retention classes, it is not noticed: a partitioned table has no index over all of its
//! pieces. It does no harm to the effect: consumers deduplicate by source and id, whatever the log holds.
//!
//! Failure: [`Error::verdict`] and [`Error::advice`] say what follows. After [`ErrorKind::Refused`] the transaction is as
//! usable as before; after any other error of the database Postgres has aborted it, as after any failed statement.
//!
//! Deliberately absent: a timeout (the statement runs in your transaction, under your `statement_timeout`), retries (only
//! you can repeat your transaction), logging (a refused event is yours to report), and a connection of our own.

mod columns;
pub(crate) use columns::Columns;

mod content;
pub(crate) use content::Content;

mod error;
pub(crate) use error::of_sqlstate as verdict_of;
pub use error::{Error, ErrorKind};

mod limits;
pub use limits::{Limits, PAYLOAD_BYTES_HARD_MAX};

mod new_event;
pub use new_event::NewEvent;

mod pg;
pub use pg::{append, append_many, append_many_within};

mod refuse;
pub(crate) use refuse::Home;
pub use refuse::Refusal;

pub mod tokio_postgres;

#[cfg(feature = "opentelemetry")]
mod trace_context;

mod way;
