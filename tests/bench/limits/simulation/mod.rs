//! Queueing on the path, from a producer to an effect, simulated: seeded, deterministic, without I/O.
//!
//! Authoritative for what a part takes are the [`Costs`] that it is given; it measures nothing. Events go in packets, so that a minute
//! of a million a second takes seconds; [`known_results`] compares it with formulas and with each event by itself.
//!
//! Deliberately absent: keys (a stream is as even as any other), losses (what a Redis lost would be put out again, by a rate of its
//! own), and memory: what waits is in Postgres, which has room.

mod agenda;

mod arrivals;

mod delays;

mod packet;

mod plan;

mod run;

mod service;

#[cfg(test)]
mod known_results;

pub(crate) use arrivals::Pattern;
pub(crate) use delays::Delays;
pub(crate) use plan::{Costs, Outcome, Plan};
pub(crate) use run::run;
pub(crate) use service::{Part, Service, Stall};
