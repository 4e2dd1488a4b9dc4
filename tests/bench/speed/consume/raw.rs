//! The limit: the rows of effects and inbox, written by nobody who looks at anything.

use outbox_core::consume::{DEFAULT_BATCH, DEFAULT_TOGETHER};
use sqlx::{Connection, PgPool};
use system_tests::{Failure, Result};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::Effects;
use crate::case::{INSERT, INSERT_ALL};

/// As many events to a transaction as a consumer has by itself while it is behind.
const fn batch(effects: Effects) -> usize {
    match effects {
        Effects::Each => DEFAULT_BATCH,
        Effects::Together => DEFAULT_TOGETHER,
    }
}

const KEYS: i64 = 1000;
/// Whose rows they are.
pub(super) const GROUP: &str = "raw";

const RECORD: &str = "
    insert into outbox.inbox (consumer, source, id, recorded_at, outcome, stream, entry_id)
    select 'raw', '/bench', given.id, statement_timestamp(), 'applied', 'outbox:raw', given.entry_id
    from unnest($1::text[], $2::text[]) given (id, entry_id)";

/// Inserts so many of each over so many connections; a key belongs to one of them.
pub(super) async fn insert(pool: &PgPool, events: usize, connections: usize, effects: Effects) -> Result {
    let mut tasks = JoinSet::new();
    let events = i64::try_from(events)?;
    for connection in 0..i64::try_from(connections)? {
        let pool = pool.clone();
        let connections = i64::try_from(connections)?;
        tasks.spawn(async move {
            let own: Vec<i64> = (1..=events)
                .filter(|number| number % KEYS % connections == connection)
                .collect();
            let mut connection = pool.acquire().await?;
            for numbers in own.chunks(batch(effects)) {
                let mut transaction = connection.begin().await?;
                let ids: Vec<String> = numbers.iter().map(|_| Uuid::now_v7().to_string()).collect();
                let entries: Vec<String> = numbers
                    .iter()
                    .map(|number| format!("1763800000000-{number}"))
                    .collect();
                sqlx::query(RECORD)
                    .bind(ids)
                    .bind(entries)
                    .execute(&mut *transaction)
                    .await?;
                let key = |number: &i64| format!("key-{}", number % KEYS);
                match effects {
                    Effects::Each => {
                        for number in numbers {
                            sqlx::query(INSERT)
                                .bind(key(number))
                                .bind(number)
                                .execute(&mut *transaction)
                                .await?;
                        }
                    }
                    Effects::Together => {
                        sqlx::query(INSERT_ALL)
                            .bind(numbers.iter().map(key).collect::<Vec<_>>())
                            .bind(numbers)
                            .execute(&mut *transaction)
                            .await?;
                    }
                }
                transaction.commit().await?;
            }
            Ok::<(), Failure>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}
