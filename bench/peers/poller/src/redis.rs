//! The stream: all entries of a transaction in one pipeline.

use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;

use crate::Result;
use crate::pg::Row;

/// The client's own default is half a second, which a server that forks or a busy disk takes longer than now and then.
const RESPONSE_AT_MOST: Duration = Duration::from_secs(60);

/// The stream it writes to.
pub(crate) struct Stream {
    connection: MultiplexedConnection,
    name: String,
}

impl Stream {
    pub(crate) async fn open(url: &str, name: String) -> Result<Self> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(RESPONSE_AT_MOST))
            .set_response_timeout(Some(RESPONSE_AT_MOST));
        let connection = redis::Client::open(url)?
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        Ok(Self { connection, name })
    }

    pub(crate) async fn add(&mut self, rows: &[Row]) -> Result {
        let mut pipeline = redis::pipe();
        for row in rows {
            pipeline
                .cmd("XADD")
                .arg(&self.name)
                .arg("*")
                .arg("id")
                .arg(row.id)
                .arg("key")
                .arg(&row.key)
                .arg("event")
                .arg(&row.data)
                .ignore();
        }
        Ok(pipeline.query_async(&mut self.connection).await?)
    }
}
