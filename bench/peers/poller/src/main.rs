//! The poller that people write by hand: a flag, `for update skip locked`, `XADD`, an update, commit; woken by `NOTIFY`.
//!
//! Settings come from the environment: `DATABASE_URL`, `REDIS_URL`, `STREAM`, and `ROWS`, how many rows a transaction takes and a
//! pipeline sends. Any error ends it; who runs it starts it again.

mod pg;

mod redis;

use std::env;
use std::time::Duration;

use tokio::time::timeout;

/// Without a notification it looks all the same: one may have gone while it connected.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

// One thread: there is one pipeline, and nothing to hand over between threads.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let rows: i64 = env::var("ROWS")?.parse()?;
    let mut stream = redis::Stream::open(&env::var("REDIS_URL")?, env::var("STREAM")?).await?;
    let (table, mut bell) = pg::open(&env::var("DATABASE_URL")?).await?;
    loop {
        while publish(&table, &mut stream, rows).await? == rows {}
        // What rang while it was busy rings now.
        timeout(LOOK_AGAIN, bell.recv()).await.ok();
        while bell.try_recv().is_ok() {}
    }
}

/// One transaction; returns how many rows it took.
async fn publish(table: &pg::Table, stream: &mut redis::Stream, rows: i64) -> Result<i64> {
    let taken = table.take(rows).await?;
    if taken.is_empty() {
        table.give_back().await?;
        return Ok(0);
    }
    stream.add(&taken).await?;
    let ids: Vec<i64> = taken.iter().map(|row| row.id).collect();
    table.done(&ids).await?;
    Ok(i64::try_from(taken.len())?)
}
