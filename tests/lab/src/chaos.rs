//! Chaos from one number: a schedule of faults, a shop under it, and a verdict.
//!
//! Three phases. While faults come, only safety counts. Then everything is healed. Then it is quiet, and within a bound everything
//! must have arrived: what stands still is shown with what every process and view says of itself.
//!
//! Authoritative is what the producers wrote down. A fault that met nothing, and a run in which too little was done, fail.

pub mod fault;

pub mod schedule;

mod failover;

mod ground;

mod inflict;

mod history;

mod leader;

mod load;

mod processes;

mod outcome;

mod settle;

mod sight;

mod verdict;

pub mod campaign;

pub mod minimise;

pub mod record;

pub mod report;

pub mod run;

pub use fault::{Kind, Link, Party};
pub use outcome::{Done, Outcome};
pub use run::{Settings, run};
pub use schedule::{Injection, Schedule};
