//! Where one event is and was: appended, cut, published, attempted, applied, parked, dead, redriven, and what it caused.
//!
//! Authoritative is each place for its own part: the log's database for the event and its stream, Redis for whether the entry
//! is still there, each consumer's database for what became of the event there. This only asks them, by functions that show
//! neither payloads nor keys and cost the same however much there is, and puts the answers in one order.
//!
//! Invariants: nothing is changed. What handlers said is shown only to who may read the dead letters themselves.
//!
//! Failure: each place is asked for itself; one that does not answer leaves the others' part whole.
//!
//! Deliberately absent: what an event caused in other transactions than the one that applied it (nothing leads from a cause to
//! its effects but a walk through the log), and successes of attempts that Redis alone knows of.

mod step;

mod sentence;

mod pg;

#[cfg(feature = "redis")]
mod redis;

pub use self::pg::{Origin, Remark, caused, consumers, log, remarks, writer};
#[cfg(feature = "redis")]
pub use self::redis::presence;
pub use self::step::{Presence, Step, in_order};
