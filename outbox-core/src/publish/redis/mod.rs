//! Redis Streams as a sink (Redis 6.2, 7 and later; Valkey).
//!
//! One parcel is one `MULTI … EXEC` that begins by looking for the predecessor and ends by moving the mark. The entry ids
//! are explicit: Redis refuses an id that is not above the stream's top, so a parcel sent again, by whomever, adds nothing.
//! A refused id counts as published only after the event stored under it was compared.
//!
//! Over plain TCP commands and answers go over a socket of our own (`socket`), packed and read without the driver (`pack`, `resp`); the
//! driver connects for everything else, and both ways send the same bytes.
//!
//! No Lua, no client that reconnects by itself, no command newer than Redis 6.2.

mod answers;

mod carry;

mod connection;

mod fitness;

mod layout;

mod mark;

mod pack;

mod put;

mod recover;

mod replicas;

mod reply;

mod resp;

mod search;

mod socket;

mod streams;

mod value;

mod weigh;

use std::time::Duration;

use futures_util::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};

use super::{Error, Kind, Sink, SinkConnection};
use connection::{Connection, Wire};
pub(super) use recover::Whole;
pub use replicas::Replicas;
use socket::Socket;
pub(super) use streams::Streams;

/// How long to wait for Redis, and for whom behind it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// For a connection. Default 3 s.
    pub connect: Duration,
    /// For an answer. Default 5 s: a parcel is answered in milliseconds; a fork for saving may pause a large server.
    pub answer: Duration,
    /// Replicas that must have a parcel before it counts as delivered. Default none.
    pub replicas: Option<Replicas>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            answer: Duration::from_secs(5),
            replicas: None,
        }
    }
}

/// A Redis server.
#[derive(Clone, Debug)]
pub struct RedisSink {
    client: Client,
    limits: Limits,
}

impl RedisSink {
    /// A sink on the server that `client` was made for.
    #[must_use]
    pub fn new(client: Client, limits: Limits) -> Self {
        Self { client, limits }
    }
}

impl RedisSink {
    async fn dial(&self) -> Result<MultiplexedConnection, Error> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.limits.connect))
            .set_response_timeout(Some(self.limits.answer));
        self.client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|error| reply::failed("cannot connect to Redis", &error))
    }

    /// A connection for looking after streams.
    pub(super) async fn streams(&self) -> Result<Streams, Error> {
        Ok(Streams::new(self.dial().await?))
    }
}

impl Sink for RedisSink {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn SinkConnection>, Error>> {
        Box::pin(async move {
            let limits = &self.limits;
            let socket = Socket::open(&self.client, limits.connect, limits.answer)
                .await
                .map_err(|error| reply::failed("cannot connect to Redis", &error))?;
            let wire = match socket {
                Some(socket) => Wire::Socket(socket),
                None => Wire::Driver(self.dial().await?),
            };
            let connection = Connection::new(wire, limits.replicas.clone());
            connection.check_fitness().await?;
            Ok(Box::new(connection) as Box<dyn SinkConnection>)
        })
    }
}

fn unfit(what: impl Into<String>) -> Error {
    Error::new(Kind::SinkUnfit, what)
}
