//! Consuming: each event of a stream has its effect once per consumer group, in order per key.
//!
//! ```text
//!   Redis stream ──XREADGROUP──▶ gate ──▶ window ──▶ one transaction of your database ──commit──▶ XACK
//!                                 │                  lease · inbox · your effect · last passed
//!                                 └ held: its predecessor has not come
//! ```
//!
//! Authoritative is the handlers' database: `outbox.inbox` for what had its effect, `outbox.consumer_stream` for how far
//! a stream came, `outbox.consumer_lease` for who applies it. Redis' own book (what is pending) only says what to look at
//! again.
//!
//! Invariants:
//! * The inbox row, the handler's effect and its new events commit together. An event that comes again finds the row and
//!   has no second effect. The key is (consumer, source, id), for as long as `outbox.inbox_settings.keep` says.
//! * Of several members one applies a stream. The transaction holds the lease's row and its epoch, so a member that was
//!   stopped and wakes up commits nothing.
//! * An entry is acknowledged after the commit, and only when everything before it on its stream is finished.
//! * Several transactions of a stream run at a time; a key is in one of them at most, and its events in order.
//! * An event that fails is parked, and the later ones of its key behind it, in the database; everything else goes on. After a
//!   bounded number of attempts it is a dead letter, and its key waits or goes on, by policy.
//! * An entry whose predecessor has not come is not applied and not lost: it stays pending, is counted and shown.
//!
//! Failure: an outage of either server is waited out with everything left where it is. A handler's error, panic or delay
//! is a failed attempt; a server that is gone or two transactions that met are not.
//!
//! What the handler does outside the transaction may happen again.
//!
//! Deliberately absent: the wish to put a dead letter back is written by `dead_letter`; here it is only carried out.

mod gate;

mod hole;

mod balance;

mod discovery;

mod layout;

mod window;

mod portion;

mod delivery;

mod blame;
mod breaker;

mod breakers;
mod contention;

mod fingerprint;

mod retry;

mod stream;

mod failure;
mod failure_kind;

mod error;

mod metric;

mod settings;

mod handler;

mod call;

mod routes;

mod builder;

mod run;

mod sample;

mod lane;

mod member;

mod session;

mod set_back;

mod slots;

mod lock_room;

mod intake;

mod ahead;
mod pending;
mod reader;
mod search;

mod dispatch;
mod probe;
mod probing;

mod held_up;
mod pace;

mod landing;

mod flight;

mod place;

mod fate;

mod apply;

mod batch;
mod span;

mod attempt;
mod sole;

mod drained;

mod drain;

mod emptying;

mod park;

mod lanes;

mod signals;

mod shared;

mod suspects;

mod lease;

mod inbox;

pub mod operate;

pub mod seek;

mod prelude;

mod catch_up;

mod board;

mod pg;

mod redis;

pub use builder::Builder;
pub use call::{Function, NotAFunction};
pub use error::Error;
pub use failure::Failure;
pub use failure_kind::FailureKind;
pub use fingerprint::fingerprint;
pub use gate::{Gate, Verdict as GateVerdict};
pub use handler::{BatchHandler, BoxFuture, Handler, HandlerError, HandlerResult};
pub use inbox::keyed::Identity;
pub use metric::{
    APPLIED, ATTEMPTS, BREAKER, DEAD, DELAY_SECONDS, DELETED, DRAINED, DUPLICATES, FAILURES, GROUPS_MADE,
    GROUPS_SET_BACK, HELD, HOLE, IN_HAND, INBOX_FLOOR, INBOX_KEPT, LAG_EVENTS, LAG_SECONDS, LEADING, MEMBERS,
    OPEN_LETTERS, PARKED, PARKED_KEYS, REBALANCES, REPEATED, SKIPPED, STREAMS, SUPERSEDED,
    TRANSACTION_SECONDS, UNASSIGNED, WAITING_EVENTS,
};
pub use park::{DeadPolicy, Lane};
pub use pg::PgConnection;
pub use retry::{Next, Policy as RetryPolicy};
pub use run::Consumer;
pub use settings::{
    DEFAULT_BATCH, DEFAULT_CONCURRENCY, DEFAULT_CONNECTIONS, DEFAULT_DISCOVERY, DEFAULT_HANDLER_LIMIT,
    DEFAULT_LEASE, DEFAULT_PREFIX, DEFAULT_READ_COUNT, DEFAULT_TOGETHER, DEFAULT_WINDOW,
    DEFAULT_WINDOW_BYTES, Ordering,
};
pub use stream::{Flow, Stream};
