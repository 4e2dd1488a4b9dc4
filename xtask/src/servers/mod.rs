//! Private Postgres, Redis and PgBouncer servers on free loopback ports, each in a temporary folder of its own.
//!
//! Who is authoritative: the folder. It holds data, log and the process id (`server.pid`); nothing outside it is touched.
//!
//! Invariants: a server never outlives its owner, whatever ends it (return, panic, Ctrl-C, SIGKILL), because a watchdog
//! process that only waits for its owner's end stops the server and removes the folder. Servers listen on loopback only.
//!
//! How it fails: with what was tried, what was seen and the tail of the server's log.
//!
//! Deliberately absent: containers, system services, changes to servers that are already there.

mod account;

mod backup;

mod clock;

mod disk;

mod error;

mod find;

mod folder;

mod install;

mod pgbouncer;

mod port;

mod postgres;

mod process;

mod redis;

mod watchdog;

pub use account::Account;
pub use backup::Backup;
pub use clock::Clock;
pub use disk::Disk;
pub use error::{Error, Result};
pub use find::{Kind, find};
pub use install::{Permission, ensure};
pub use pgbouncer::PgBouncer;
pub use postgres::{Postgres, PostgresOptions, Stop};
pub use process::{catches_term, is_stopped, signal};
pub use redis::{Redis, RedisOptions};
pub use watchdog::Lifetime;
