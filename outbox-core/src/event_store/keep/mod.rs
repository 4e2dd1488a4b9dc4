//! What is kept where, and what goes: archive, restore, truncate, tombstone.
//!
//! ```no_run
//! use outbox_core::event_store::{StreamName, keep};
//!
//! # async fn put_away(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
//! let order = StreamName::new("order", 7)?;
//! // As a member of outbox_maintainer; each chunk in a transaction of its own.
//! let mut connection = pool.acquire().await?;
//! while !keep::archive_stream(&mut connection, &order, None, "closed in 2025", 10_000).await?.is_finished {}
//! # Ok(())
//! # }
//! ```
//!
//! Authoritative: the functions of 0020_keeping.sql and 0025_removed.sql to 0027_buried.sql, and `outbox.stream_step`, which says who did what and why.
//!
//! Invariants:
//! * Events in the archive are read as before, and keep position and transaction id.
//! * What goes to a topic neither moves nor goes before every stream of that topic has passed it, while a re-issue or a repair needs it,
//!   and where it cannot be told what is published.
//! * What of a topic was removed is known by its position: a repair does not take it for lost.
//! * A stream is buried before the first of its events goes, and stays so whatever is refused later.
//! * Versions are never given again: a stream that was truncated goes on where it was.
//! * A row of a stream can be moved or deleted in no other way, by its owner neither.
//!
//! Failure: the call is refused, with the reason, and nothing of its chunk is done; chunks before it stay done.
//!
//! Deliberately absent: archiving by age. What is closed is known by the service, not by the store.

mod pg;
pub use pg::{archive_stream, restore_stream, standing, tombstone_stream, truncate_stream};

mod standing;
pub use standing::{Chunk, Standing};
