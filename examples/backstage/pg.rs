//! Databases on a server, and pools on databases.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use url::Url;

use crate::Result;

const ACQUIRE_LIMIT: Duration = Duration::from_secs(10);

/// The URL of another database of the same server.
///
/// # Errors
/// When this is no URL.
pub fn with_database(url: &str, database: &str) -> Result<String> {
    let mut url = Url::parse(url)?;
    url.set_path(database);
    Ok(url.into())
}

/// Makes a database beside the one of this URL.
///
/// # Errors
/// When it is there already, or this user may not.
pub async fn create_database(url: &str, name: &str) -> Result {
    let mut connection = PgConnection::connect(url).await?;
    let quoted = name.replace('"', "\"\"");
    sqlx::raw_sql(AssertSqlSafe(format!("create database \"{quoted}\"")))
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(())
}

/// A pool whose sessions call themselves `application`.
///
/// # Errors
/// When the server does not answer.
pub async fn connect(url: &str, application: &str, connections: u32) -> Result<PgPool> {
    let options: PgConnectOptions = url.parse()?;
    // Short questions asked often: compiling one takes longer than answering it.
    let options = options
        .application_name(application)
        .options([("statement_timeout", "30s"), ("jit", "off")]);
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_LIMIT);
    Ok(pool.connect_with(options).await?)
}
