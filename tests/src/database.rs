//! One test's database: cloned from a template under a random name, gone with its value.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, postgres::PgPoolOptions};
use uuid::Uuid;

use crate::login::Login;
use crate::template::{Schema, replace_database};
use crate::world::moved;
use crate::{Failure, Result};

const POOL_SIZE: u32 = 20;
const DROP_LIMIT: Duration = Duration::from_secs(60);

/// A database of its own.
#[derive(Debug)]
pub struct Database {
    name: String,
    server_url: String,
    url: String,
    dropped_with_server: bool,
}

impl Database {
    /// On a shared server: a clone of the template.
    pub(crate) async fn clone_of(schema: Schema, server_url: &str) -> Result<Self> {
        Self::create(schema.template(), server_url, false).await
    }

    /// On a server of the test's own: made from nothing.
    pub(crate) async fn on_own_server(schema: Schema, server_url: &str) -> Result<Self> {
        let database = Self::create("template1", server_url, true).await?;
        schema.migrate(&database.url).await?;
        Ok(database)
    }

    async fn create(template: &str, server_url: &str, dropped_with_server: bool) -> Result<Self> {
        let name = format!("test_{}", Uuid::now_v7().simple());
        let mut server = PgConnection::connect(server_url).await?;
        sqlx::query(AssertSqlSafe(format!(
            "create database {name} template {template}"
        )))
        .execute(&mut server)
        .await?;
        server.close().await?;
        let url = replace_database(server_url, &name);
        Ok(Self {
            name,
            server_url: server_url.to_owned(),
            url,
            dropped_with_server,
        })
    }

    /// The server is looked for at another port from now on.
    pub(crate) fn look_through(&mut self, from: u16, to: u16) {
        self.server_url = moved(&self.server_url, from, to);
        self.url = moved(&self.url, from, to);
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL, as superuser.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its URL, as a login of the tests.
    #[must_use]
    pub fn url_of(&self, login: Login) -> String {
        login.database_url(&self.url)
    }

    /// A pool of a login of the tests.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn pool_of(&self, login: Login) -> Result<PgPool> {
        pool(&self.url_of(login)).await
    }

    /// A connection of its own.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn connect(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.url).await?)
    }

    /// A pool.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn pool(&self) -> Result<PgPool> {
        pool(&self.url).await
    }

    /// A tokio-postgres client; its connection ends with it.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn client(&self) -> Result<tokio_postgres::Client> {
        let (client, connection) = tokio_postgres::connect(&self.url, tokio_postgres::NoTls).await?;
        // Ends when the client is dropped; errors come back from the client's own calls.
        tokio::spawn(connection);
        Ok(client)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.dropped_with_server {
            return;
        }
        let (server_url, name) = (self.server_url.clone(), self.name.clone());
        let outcome = finish(DROP_LIMIT, async move {
            let mut server = PgConnection::connect(&server_url).await?;
            let statement = format!("drop database if exists {name} with (force)");
            sqlx::query(AssertSqlSafe(statement)).execute(&mut server).await?;
            Ok(server.close().await?)
        });
        if let Err(failure) = outcome {
            eprintln!(
                "the test's database {} stays until the run's server ends: {failure}",
                self.name
            );
        }
    }
}

async fn pool(url: &str) -> Result<PgPool> {
    Ok(PgPoolOptions::new()
        .max_connections(POOL_SIZE)
        .connect(url)
        .await?)
}

/// Runs a future to its end from `Drop`, on a thread and a runtime of its own since the caller's may be ending.
pub(crate) fn finish<T: Send + 'static>(
    limit: Duration,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let thread = std::thread::spawn(move || -> Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async { tokio::time::timeout(limit, work).await? })
    });
    thread
        .join()
        .map_err(|_| Failure::new("the cleaning thread panicked"))?
}
