//! The harness of the system tests: real Postgres, real Redis, the real binary, and one oracle.
//!
//! A test makes a [`World`] (a database cloned from a migrated template and a Redis database, both its own), sets
//! something going in it ([`Relay`], [`Producers`]), does harm (`kill`, [`Proxy`]) and asks the [`Witness`].
//!
//! What is under test connects with the rights of its work ([`Login`]), the test itself as superuser.
//!
//! Authoritative for what happened is the producers' journal, never the database under test.
//!
//! Deliberately absent: mocks of Postgres or Redis, sleeps, retries of a failed test.

mod failure;

mod access;

mod rights;

pub mod login;

mod servers;

mod template;

mod database;

mod world;

pub mod relay;

pub mod invocation;

pub mod proxy;

pub mod collector;

pub mod producers;

pub mod journal;

pub mod stream;

pub mod plain_reader;

pub mod witness;

pub mod naive_tail;

pub mod past;

pub mod patience;

pub mod arrival;

pub mod bounded;

pub mod crew;

pub mod members;

pub mod readers;

pub mod real_input;

pub mod shop;

pub use collector::Collector;
pub use crew::Crew;
pub use database::Database;
pub use failure::{Failure, Result};
pub use invocation::{Answer, Invocation};
pub use journal::Journal;
pub use login::Login;
pub use members::Members;
pub use plain_reader::PlainReader;
pub use producers::{Producers, Workload};
pub use proxy::{Fault, Proxy};
pub use readers::Readers;
pub use relay::Relay;
pub use servers::SharedServers;
pub use template::Schema;
pub use witness::Witness;
pub use world::World;
