//! The table: rows taken under a lock, marked, let go. Statements that need no answer of one another go out together.

use std::future::poll_fn;

use futures_util::future::{join, try_join};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::{AsyncMessage, Client, NoTls, Statement};

use crate::Result;

const TAKE: &str =
    "select id, key, data from outbox where published is null order by id for update skip locked limit $1";
const DONE: &str = "update outbox set published = now() where id = any($1)";

/// A row to publish.
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) key: String,
    pub(crate) data: String,
}

/// A connection with its statements prepared.
pub(crate) struct Table {
    client: Client,
    take: Statement,
    done: Statement,
}

/// The table, and what rings when a row was inserted.
pub(crate) async fn open(url: &str) -> Result<(Table, UnboundedReceiver<()>)> {
    let (client, mut connection) = tokio_postgres::connect(url, NoTls).await?;
    let (ring, bell) = unbounded_channel();
    tokio::spawn(async move {
        // Its end ends the program at the next statement.
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if matches!(message, AsyncMessage::Notification(_)) {
                ring.send(()).ok();
            }
        }
    });
    client.batch_execute("listen outbox").await?;
    let (take, done) = try_join(client.prepare(TAKE), client.prepare(DONE)).await?;
    Ok((Table { client, take, done }, bell))
}

impl Table {
    /// Begins, and takes so many rows at most.
    pub(crate) async fn take(&self, rows: i64) -> Result<Vec<Row>> {
        let (begun, taken) = join(
            self.client.batch_execute("begin"),
            self.client.query(&self.take, &[&rows]),
        )
        .await;
        begun?;
        let row = |row: &tokio_postgres::Row| Row {
            id: row.get(0),
            key: row.get(1),
            data: row.get(2),
        };
        Ok(taken?.iter().map(row).collect())
    }

    /// Marks them and commits.
    pub(crate) async fn done(&self, ids: &[i64]) -> Result {
        let (marked, committed) = join(
            self.client.execute(&self.done, &[&ids]),
            self.client.batch_execute("commit"),
        )
        .await;
        marked?;
        Ok(committed?)
    }

    /// There was nothing.
    pub(crate) async fn give_back(&self) -> Result {
        Ok(self.client.batch_execute("commit").await?)
    }
}
