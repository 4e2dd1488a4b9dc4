//! The event store on a real server: appended, read, published.

mod append;

mod cli;

mod crowd;

mod published;

mod refused;

mod sql;

mod subscriptions;

mod witness;
