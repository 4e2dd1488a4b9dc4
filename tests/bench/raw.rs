//! The measure: the rows that a consumer's handler inserts, inserted without one.

use sqlx::PgPool;
use system_tests::Result;
use tokio::task::JoinSet;

use super::case::INSERT;

/// Inserts so many rows, `batch` in a transaction, over so many connections.
pub(crate) async fn insert(pool: &PgPool, rows: usize, batch: usize, connections: usize) -> Result {
    let mut tasks = JoinSet::new();
    for connection in 0..connections {
        let pool = pool.clone();
        tasks.spawn(async move {
            let own: Vec<i64> = (1..=i64::try_from(rows)?)
                .skip(connection)
                .step_by(connections)
                .collect();
            let mut connection = pool.acquire().await?;
            for numbers in own.chunks(batch) {
                let mut transaction = sqlx::Connection::begin(&mut *connection).await?;
                for number in numbers {
                    sqlx::query(INSERT)
                        .bind(format!("key-{}", number % 1000))
                        .bind(number)
                        .execute(&mut *transaction)
                        .await?;
                }
                transaction.commit().await?;
            }
            Ok::<(), system_tests::Failure>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}
