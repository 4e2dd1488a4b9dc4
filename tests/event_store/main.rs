//! The event store on a real server: appended, read, published.

mod append;

mod crowd;

mod published;

mod refused;

mod sql;

mod witness;
