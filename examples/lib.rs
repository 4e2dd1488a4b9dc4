//! Programs on the transactional outbox, to read and to run.
//!
//! * [`shop`]: a service that sells, with its event in the transaction of its rows, and two consumers of those events.
//! * [`import`]: files into the outbox, a line an event, as often as one likes to start it.
//! * [`demo`]: the shop on real servers while relays are killed and Redis is restarted, with an audit at the end.
//! * [`import_check`]: real files through the importer and the relay, compared byte for byte.
//! * [`orders`]: orders in the event store: imported, projected, built anew, put out again, and compared with their file.
//! * [`backstage`]: servers and relay processes for the last three.

use std::error::Error;

pub mod shop;

pub mod import;

pub mod backstage;

pub mod demo;

pub mod import_check;

pub mod orders;

/// What goes wrong in a demonstration is told to a person and ends it.
pub type Result<T = (), E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;
