//! Partitions: where a key goes, how a topic grows, and that nobody can do it by an old layout.

mod growth;

mod guard;

mod keys;

mod order;

mod stranger;

use std::time::Duration;

use sqlx::PgConnection;
use system_tests::{Invocation, Result, World};
use uuid::Uuid;

const LIMIT: Duration = Duration::from_secs(120);

/// Sets a topic's number of partitions, as a person does.
fn set_partitions(world: &World, topic: &str, partitions: u16) -> Result {
    let number = partitions.to_string();
    let answer = Invocation::of(world, &["topic", "set", topic, "--partitions", &number])?.ask()?;
    assert_eq!(answer.code, 0, "{}{}", answer.output, answer.errors);
    Ok(())
}

/// Appends one event per key, in one transaction, in this order.
async fn append(connection: &mut PgConnection, topic: &str, keys: &[String]) -> Result<Vec<Uuid>> {
    let ids = sqlx::query_scalar(
        "select outbox.append($1, '{}', key => k.key) from unnest($2::text[]) with ordinality k (key, n) order by k.n",
    );
    Ok(ids.bind(topic).bind(keys).fetch_all(connection).await?)
}

/// So many keys.
fn keys(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("key-{n}")).collect()
}
