//! The stream: all entries of a transaction in one pipeline.

use redis::aio::MultiplexedConnection;

use crate::Result;
use crate::pg::Row;

/// The stream it writes to.
pub(crate) struct Stream {
    connection: MultiplexedConnection,
    name: String,
}

impl Stream {
    pub(crate) async fn open(url: &str, name: String) -> Result<Self> {
        let connection = redis::Client::open(url)?
            .get_multiplexed_async_connection()
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
