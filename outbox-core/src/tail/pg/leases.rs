//! Taking, renewing and giving back the leases; being seen.

use std::time::{Duration, Instant};

use tokio_postgres::types::Type;

use super::column::get;
use super::session::Session;
use crate::tail::Error;
use crate::tail::lease::{Lease, NAMES};

const TAKE_LEASE: &str = include_str!("../../../queries/tail/take_lease.sql");
const AWAIT_LEASE: &str = include_str!("../../../queries/tail/await_lease.sql");
const RELEASE_LEASE: &str = include_str!("../../../queries/tail/release_lease.sql");
const SEE_RELAY: &str = include_str!("../../../queries/tail/see_relay.sql");

/// This process, as the others see it.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Unique name: host, process id and a random part.
    pub name: String,
    /// Host name.
    pub host: String,
    /// Version of the binary.
    pub version: String,
}

/// Takes both leases or renews them; none if another instance holds one.
pub(crate) async fn take(session: &Session, holder: &str, ttl: Duration) -> Result<Option<Lease>, Error> {
    crash_point!(LEASE_BEFORE_TAKE);
    let asked = Instant::now();
    let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
    let rows = session
        .query(
            TAKE_LEASE,
            &[
                (&NAMES.as_slice(), Type::TEXT_ARRAY),
                (&holder, Type::TEXT),
                (&ttl_ms, Type::INT8),
            ],
        )
        .await?;
    crash_point!(LEASE_TAKEN);
    let tail = rows
        .iter()
        .find(|row| get::<&str>(row, "name").is_ok_and(|name| name == "tail"));
    tail.map(|row| Ok(Lease::granted(get(row, "epoch")?, asked, ttl)))
        .transpose()
}

/// How long the present holder's lease still runs.
pub(crate) async fn remaining(session: &Session) -> Result<Duration, Error> {
    let rows = session
        .query(AWAIT_LEASE, &[(&NAMES.as_slice(), Type::TEXT_ARRAY)])
        .await?;
    let ms: i64 = rows.first().map_or(Ok(0), |row| get(row, "remaining_ms"))?;
    Ok(Duration::from_millis(ms.unsigned_abs()))
}

/// Gives both leases back and wakes a standby.
pub(crate) async fn release(session: &Session, holder: &str) -> Result<(), Error> {
    session
        .query(
            RELEASE_LEASE,
            &[(&NAMES.as_slice(), Type::TEXT_ARRAY), (&holder, Type::TEXT)],
        )
        .await
        .map(drop)
}

/// Shows this process to the others.
pub(crate) async fn be_seen(
    session: &Session,
    instance: &Instance,
    state: &str,
    reason: &str,
) -> Result<(), Error> {
    let process = i32::try_from(std::process::id()).unwrap_or(0);
    session
        .query(
            SEE_RELAY,
            &[
                (&instance.name, Type::TEXT),
                (&instance.host, Type::TEXT),
                (&process, Type::INT4),
                (&instance.version, Type::TEXT),
                (&state, Type::TEXT),
                (&reason, Type::TEXT),
            ],
        )
        .await
        .map(drop)
}
