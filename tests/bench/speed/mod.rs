//! How near the path is to what Postgres and Redis can do without it, on servers of its own that write to disk.
//!
//! One module per measure, each with `run(&Options) -> Result<Report>`; what they share is `servers` and `ground` (these,
//! and copies of a database), `usage` and `memory` (what a process used), `arrivals`, `flow` and `schedule` (things and events that come at
//! random, or at their times). A measure knows nothing of another.

pub(crate) mod ground;

pub(crate) mod memory;

pub(crate) mod program;

mod producers;

mod usage;

pub(crate) mod drain;

mod resp;

pub(crate) mod commit;

mod pgbench;

pub(crate) mod arrivals;

mod session;

pub(crate) mod flow;

pub(crate) mod latency;

pub(crate) mod pinned;

pub(crate) mod servers;

pub(crate) mod quantile;

mod schedule;

pub(crate) mod consume;

pub(crate) mod backlog;

pub(crate) mod through;

pub(crate) mod idle;

pub(crate) mod takeover;
