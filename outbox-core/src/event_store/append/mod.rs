//! Appending to streams, each at the version that is expected of it.
//!
//! Invariants:
//! * All streams of a call, or none. They are locked in the order of their names until the transaction ends, and the versions are
//!   looked at before positions are drawn: the order of a stream is the order of the commits.
//! * **The same event ids again** are not appended again: the answer is [`Outcome::AlreadyAppended`] with what they got then, for as
//!   long as the events are in the store (truncated ones are forgotten).
//!
//! Deliberately absent: retries (a conflict wants a new decision: [`crate::event_store::decide`] does that).

mod outcome;
pub(super) use outcome::Answer;
pub use outcome::{Appended, Conflict, Outcome, Outcomes};

mod pg;
pub use pg::{append, append_streams, append_streams_within, find_appended};

mod request;
pub(super) use request::Call;
pub use request::StreamAppend;

pub mod tokio_postgres;
