//! How near the path is to what Postgres and Redis can do without it, on servers of its own that write to disk.
//!
//! One module per measure, each with `run(&Options) -> Result<Report>`; what they share is `ground` (the servers, the relay) and
//! `usage` (what a process used). A measure knows nothing of another.

pub(crate) mod ground;

pub(crate) mod usage;

pub(crate) mod drain;

mod resp;

pub(crate) mod commit;

mod pgbench;

mod flow;

pub(crate) mod latency;

pub(crate) mod pinned;

pub(crate) mod servers;

mod threads;

mod quantile;

mod schedule;

pub(crate) mod consume;

pub(crate) mod backlog;

pub(crate) mod through;

pub(crate) mod idle;

pub(crate) mod takeover;
