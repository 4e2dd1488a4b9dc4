//! Reaching Postgres and Redis: addresses, TLS, timeouts and keepalives, in one place for every command.
//!
//! Every socket has keepalives and a bound on unacknowledged data, so that a peer that vanished is noticed; every attempt
//! has a timeout. Nothing here reconnects by itself: whoever holds a connection decides what must be compared first.
//! Errors name host and cause, never a password. Deliberately absent: client certificates.

mod target;

mod tls;

mod pg;

mod hearing;

mod redis;

use std::time::Duration;

pub use self::hearing::notifications_arrive;
pub use self::pg::{Connection, Role, address, connection, describe_postgres, describe_sqlx, pool, postgres};
pub use self::redis::{redis, redis_connection};
pub use self::tls::install_provider;
pub(crate) use self::tls::trusting;

/// Idle sockets are probed this often; three failures end them.
pub const KEEPALIVE: Duration = Duration::from_secs(10);
/// Probes without an answer before a socket is given up.
pub const KEEPALIVE_RETRIES: u32 = 3;
/// Data that nobody acknowledges for this long ends the socket.
pub const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Why something could not be reached.
#[derive(Debug)]
pub struct Error {
    /// What was to be reached: `Postgres at host:port` or `Redis at host:port`.
    pub target: String,
    /// What was seen.
    pub what: String,
    /// What to do.
    pub advice: &'static str,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} cannot be used: {}; {}",
            self.target, self.what, self.advice
        )
    }
}

impl std::error::Error for Error {}

/// The causes of an error in one line, outermost first, without repeating what is said already.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
