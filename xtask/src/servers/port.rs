//! Free loopback ports, below the range that the system hands out to clients.
//!
//! A server that is killed and started again keeps its port. From the ephemeral range, a client that reconnects meanwhile
//! may be given that very port, even connect to itself, and the server could not come back.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::TcpListener;

use super::error::{Error, Result};

const FIRST: u16 = 15_000;
const COUNT: u16 = 15_000;
const TRIES: u64 = 200;

/// A port nobody listens on at this moment.
pub(crate) fn free() -> Result<u16> {
    let random = RandomState::new();
    (0..TRIES)
        .map(|n| FIRST + u16::try_from(random.hash_one(n) % u64::from(COUNT)).unwrap_or(0))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .ok_or_else(|| {
            Error::new(format!(
                "no free port on 127.0.0.1 between {FIRST} and {} in {TRIES} tries",
                FIRST + COUNT
            ))
        })
}
