//! Subscriptions: named readers of stored events, in the database that stores them. Each event is handed to a handler inside the
//! transaction that also moves the checkpoint, so what the handler writes there and the checkpoint are one fact.
//!
//! ```no_run
//! use outbox_core::event_store::subscription::{BoxFuture, HandlerResult, Runner, Subscription};
//! use outbox_core::event_store::StoredEvent;
//! use sqlx::PgConnection;
//!
//! # fn count<'a>(_: &'a mut PgConnection, _: &'a StoredEvent) -> BoxFuture<'a, HandlerResult> { Box::pin(async { Ok(()) }) }
//! # async fn run(pool: sqlx::PgPool, token: tokio_util::sync::CancellationToken) -> Result<(), Box<dyn std::error::Error>> {
//! let points = Subscription::new("loyalty.points").categories(["order"]).partitions(4);
//! Runner::new(pool, points, count).run(token).await?;
//! # Ok(())
//! # }
//! ```
//!
//! **The checkpoint is a snapshot**, and not a position: a position would miss the event of a transaction that drew a lower one and
//! commits later. What comes next is a *difference*: what is visible in a newer snapshot (the goal) and not in the one that is done. It
//! is read in pages, in order of position, between bounds that do not change; the place within it is stored too, so a difference may be
//! ten million events long and memory does not follow it. Bounds, eras and the own transaction are told in `checkpoint.rs`.
//!
//! Authoritative: `outbox.subscription_checkpoint` for what is done, `outbox.parked_stream` for what of that waits all the same, and
//! `outbox.subscription_lease` for who may apply.
//!
//! Invariants:
//! * **Nothing is missed and nothing handed over twice to a commit.** The differences have no row in common, and together they are
//!   everything visible: each begins where the one before ended, and an event's row never changes its transaction.
//! * **Events of a stream come in order.** Version n + 1 is appended by a transaction that waited for the commit of the one that
//!   appended n (its lock on the stream), or by the same one. So whatever snapshot sees n + 1 sees n: n is in the same difference or an
//!   earlier one. Within a difference n comes first, since its position was drawn first. A stream belongs to one partition, and a partition
//!   has one process at a time.
//! * The applying transaction holds the lease's row: a takeover waits for it, and who lost the lease does not commit.
//! * A failed event parks its stream, for the next attempt or for a person; later events of that stream wait, and others go on.
//!
//! Failure: a failed attempt is undone and counted in the database, so a crash does not reset it. Outages are waited out.
//! [`Error::verdict`] says what is not.
//!
//! Deliberately absent: an order between streams (each subscription sees its own), a checkpoint in another database (consume from a
//! stream for that), and reading at a standby, whose snapshots do not tell which transactions are open.

mod attempt;

mod careful;

pub(in crate::event_store) mod catch_up;

mod checkpoint;

mod definition;
pub use definition::{Retry, Subscription};

mod difference;

mod drain;

mod error;
pub use error::Error;

mod failure;

mod handler;
pub use handler::{BoxFuture, EventHandler, HandlerError, HandlerResult};

mod look;

mod member;

pub mod metric;

mod obstacle;

mod partition;

pub(in crate::event_store) mod pg;

mod run;
pub use run::Runner;

mod set_aside;

mod share;

mod step;

mod wait;
pub use wait::{WaitFor, Waited, wait_for};
