//! Taking, renewing and giving back the leases; being seen.

use std::time::{Duration, Instant};

use tokio_postgres::types::Type;

use super::column::get;
use super::session::Session;
use crate::standing::Standing;
use crate::tail::Error;
use crate::tail::lease::{Lease, NAMES, News};

const TAKE_LEASE: &str = include_str!("../../../queries/tail/take_lease.sql");
const AWAIT_LEASE: &str = include_str!("../../../queries/tail/await_lease.sql");
const RELEASE_LEASE: &str = include_str!("../../../queries/tail/release_lease.sql");

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

/// What a process says of itself to the others.
pub(crate) struct Shown<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) standing: &'a Standing,
}

/// Takes both leases or renews them; none if another instance holds one. Says where this process stands, if it is to be shown.
pub(crate) async fn take(
    session: &Session,
    holder: &str,
    ttl: Duration,
    shown: Option<Shown<'_>>,
) -> Result<Option<Lease>, Error> {
    crash_point!(LEASE_BEFORE_TAKE);
    let asked = Instant::now();
    let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
    let process = i32::try_from(std::process::id()).unwrap_or(0);
    let host = shown.as_ref().map(|shown| shown.instance.host.as_str());
    let version = shown.as_ref().map(|shown| shown.instance.version.as_str());
    let state = shown.as_ref().map(|shown| shown.standing.word());
    let reason = shown.as_ref().and_then(|shown| shown.standing.cause());
    let rows = session
        .query(
            TAKE_LEASE,
            &[
                (&NAMES.as_slice(), Type::TEXT_ARRAY),
                (&holder, Type::TEXT),
                (&ttl_ms, Type::INT8),
                (&host, Type::TEXT),
                (&process, Type::INT4),
                (&version, Type::TEXT),
                (&state, Type::TEXT),
                (&reason, Type::TEXT),
            ],
        )
        .await?;
    crash_point!(LEASE_TAKEN);
    let tail = rows
        .iter()
        .find(|row| get::<&str>(row, "name").is_ok_and(|name| name == "tail"));
    tail.map(|row| {
        let news = News {
            asked,
            ledger_end: get(row, "ends_with")?,
            orders_wait: get(row, "wait")?,
        };
        Ok(Lease::granted(get(row, "epoch")?, news, ttl))
    })
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
