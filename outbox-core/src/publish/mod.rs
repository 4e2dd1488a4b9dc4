//! Publishing: puts the batches of the ledger on streams, each event once, in order, whatever dies when.
//!
//! **What it does.** Each stream follows the ledger on its own: a stream that cannot go on, or has millions to send, lags
//! alone ([`lane`]). What goes out at once for one stream is a *parcel*; the next parcel of that stream leaves only after
//! the sink confirmed it, so what is on a stream is always a prefix of what the ledger orders.
//!
//! **Who is authoritative.** The ledger for order and ids (`<batch_id>-<position>`), the sink for what is on a stream,
//! the progress rows for where to look. Progress may be behind: what is sent again has the same ids and adds nothing.
//!
//! **Invariants.** Entry ids of a stream rise. Each entry names its predecessor (`previousid`), the same however often it
//! is published. An answer that is not "durable" is not delivery. Nothing is sent after the lease is no longer trusted.
//!
//! **How it fails.** The sink down or full: everything holds, with backoff and one probe ([`retry`]); nothing is dead-lettered.
//! An event that the sink will never take: its topic is set aside until a person resumes it or skips the event. A stream
//! of a wrong type or without permission: tried again by itself, alone. A stream that lost entries: noticed by the very
//! next parcel or the scheduled comparison, and put out again by [`upkeep`] at a bounded rate ([`pace`]), without a person.
//!
//! **Deliberately absent.** Raising a stream's top id by hand (it would
//! hide a loss from the next leader). A client that reconnects by itself: after a reconnect marks are compared first.

pub mod chunk;
pub mod lane;

mod opening;

pub(crate) mod parcel;

pub mod retry;

pub mod run;

pub mod term;

mod leader;

mod announce;

mod owner;

mod feed;

mod gather;

mod send;

mod compare;

mod ends;

mod refuse;

mod search;

mod halt;

mod work;

mod span;

pub mod sink;

mod retention;

pub mod trim;

pub mod repair;

pub mod earliest;

pub mod pace;

pub mod stream;

mod error;

mod options;

mod pg;

#[cfg(feature = "redis")]
pub mod redis;

#[cfg(feature = "redis")]
pub mod upkeep;

#[cfg(feature = "redis")]
pub mod recover;

pub use error::{Error, Kind};
pub use options::{Mode, Options};
pub(crate) use pg::{OPEN_REFUSAL, UNKNOWN_BATCHES, UNKNOWN_ENTRIES};
pub use sink::{
    Announced, Answer, Entry, Fields, Mark, Marked, Parcel, Predecessor, Receipt, Sink, SinkConnection, Top,
};
pub use stream::StreamName;
