//! Migrated databases that tests clone (some 40 ms each instead of a migration).
//!
//! They belong to servers that live for one run, so they cannot be stale.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{Result, login};

/// What a database has in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// The log: a producer's database.
    Log,
    /// The inbox only: a consumer's database.
    Inbox,
    /// Both: a service that consumes and produces.
    Both,
    /// Nothing.
    Empty,
}

impl Schema {
    const ALL: [Self; 3] = [Self::Log, Self::Inbox, Self::Both];

    pub(crate) fn template(self) -> &'static str {
        match self {
            Self::Log => "template_outbox_log",
            Self::Inbox => "template_outbox_inbox",
            Self::Both => "template_outbox_both",
            Self::Empty => "template1",
        }
    }

    /// Migrates an empty database to this.
    pub(crate) async fn migrate(self, url: &str) -> Result {
        let mut connection = PgConnection::connect(url).await?;
        if matches!(self, Self::Log | Self::Both) {
            outbox_migrations::migrate_log(&mut connection).await?;
        }
        if matches!(self, Self::Inbox | Self::Both) {
            outbox_migrations::migrate_inbox(&mut connection).await?;
        }
        login::make(&mut connection).await?;
        login::open_public(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }
}

pub(crate) async fn make_all(server_url: &str) -> Result {
    let mut server = PgConnection::connect(server_url).await?;
    for schema in Schema::ALL {
        let name = schema.template();
        sqlx::query(AssertSqlSafe(format!("create database {name}")))
            .execute(&mut server)
            .await?;
        schema.migrate(&replace_database(server_url, name)).await?;
    }
    server.close().await?;
    Ok(())
}

/// The same server, another database.
pub(crate) fn replace_database(url: &str, name: &str) -> String {
    let end = url.rfind('/').unwrap_or(url.len());
    format!("{}/{name}", &url[..end])
}
