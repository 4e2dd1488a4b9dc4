//! Projections in Postgres.

use serde_json::{Map, Value};
use sqlx::PgConnection;

use crate::ops::Error;

/// Projections with the newest rebuild of each, as JSON objects: of one name, or all of them, at most a thousand. Ages are seconds, times
/// are ISO 8601.
///
/// # Errors
/// The view is not there or may not be read.
pub async fn projections(
    conn: &mut PgConnection,
    name: Option<&str>,
) -> Result<Vec<Map<String, Value>>, Error> {
    let read = async {
        let query = sqlx::query_scalar(include_str!("../../../queries/ops/projections.sql"));
        let rows: Vec<String> = query.persistent(false).bind(name).fetch_all(conn).await?;
        let parsed: Result<Vec<_>, _> = rows.iter().map(|row| serde_json::from_str(row)).collect();
        parsed.map_err(|error| sqlx::Error::Decode(Box::new(error)))
    };
    read.await
        .map_err(|error| Error::postgres("outbox_ops.projections", error).of_projection())
}

/// Orders that a projection is built anew; audited. Where it differs from what is live it is held, unless differences are accepted.
/// Returns the number of the rebuild.
///
/// # Errors
/// There is no such projection, it is being built anew already, or the role is not in `outbox_operator`.
pub async fn order_rebuild(
    conn: &mut PgConnection,
    projection: &str,
    reason: &str,
    accept_differences: bool,
) -> Result<i64, Error> {
    let query = sqlx::query_scalar(include_str!("../../../queries/ops/order_rebuild.sql")).persistent(false);
    let bound = query.bind(projection).bind(reason).bind(accept_differences);
    bound.fetch_one(conn).await.map_err(changing(projection))
}

/// Has a rebuild that is held tried again, differences accepted or not; audited.
///
/// # Errors
/// None is held, or the role is not in `outbox_operator`.
pub async fn release_rebuild(
    conn: &mut PgConnection,
    projection: &str,
    reason: &str,
    accept_differences: bool,
) -> Result<(), Error> {
    let query = sqlx::query(include_str!("../../../queries/ops/release_rebuild.sql")).persistent(false);
    let bound = query.bind(projection).bind(reason).bind(accept_differences);
    bound.execute(conn).await.map(drop).map_err(changing(projection))
}

/// Ends a rebuild: what was built is dropped by a process that runs the projection. Audited.
///
/// # Errors
/// It is not being built anew, or the role is not in `outbox_operator`.
pub async fn cancel_rebuild(conn: &mut PgConnection, projection: &str, reason: &str) -> Result<(), Error> {
    let query = sqlx::query(include_str!("../../../queries/ops/cancel_rebuild.sql")).persistent(false);
    let bound = query.bind(projection).bind(reason);
    bound.execute(conn).await.map(drop).map_err(changing(projection))
}

/// Has nothing more of a subscription applied: of one generation, or of all; audited. A projection's has its name. Returns how many
/// generations were not paused before.
///
/// # Errors
/// There is no such subscription, or the role is not in `outbox_operator`.
pub async fn pause_subscription(
    conn: &mut PgConnection,
    name: &str,
    reason: &str,
    generation: Option<i32>,
) -> Result<i64, Error> {
    let query =
        sqlx::query_scalar(include_str!("../../../queries/ops/pause_subscription.sql")).persistent(false);
    let bound = query.bind(name).bind(reason).bind(generation);
    bound.fetch_one(conn).await.map_err(changing(name))
}

/// Has a subscription go on: one generation, or all; audited. Returns how many were paused.
///
/// # Errors
/// As [`pause_subscription`].
pub async fn resume_subscription(
    conn: &mut PgConnection,
    name: &str,
    reason: &str,
    generation: Option<i32>,
) -> Result<i64, Error> {
    let query =
        sqlx::query_scalar(include_str!("../../../queries/ops/resume_subscription.sql")).persistent(false);
    let bound = query.bind(name).bind(reason).bind(generation);
    bound.fetch_one(conn).await.map_err(changing(name))
}

fn changing(projection: &str) -> impl Fn(sqlx::Error) -> Error {
    move |error| Error::changing(format!("projection {projection}"), error).of_projection()
}
