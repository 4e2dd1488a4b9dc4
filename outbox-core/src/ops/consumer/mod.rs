//! Consumer groups as an operator sees them: the views of their database beside what Redis says of their streams.
//!
//! How far a group came only its database knows; how much is on a stream behind that, only Redis. [`lag`] brings the two
//! together and is pure. What either does not say is unknown, and said to be.

pub mod lag;

mod pg;

#[cfg(feature = "redis")]
mod redis;

pub use self::pg::{consumer_streams, consumers};
#[cfg(feature = "redis")]
pub use self::redis::streams_seen;
