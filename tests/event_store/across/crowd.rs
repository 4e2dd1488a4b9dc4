//! Writers with open transactions, late commits and rollbacks, and readers of all kinds beside them: what was read is what is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use outbox_core::event_store::{self, Cursor, EventRead, PageLimits};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sqlx::{Executor as _, PgPool};
use system_tests::login::Login;
use system_tests::{Failure, Result, World};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::append;

const WRITERS: u64 = 6;
const TRANSACTIONS: u32 = 60;
const STREAMS: u32 = 6;
const CATEGORIES: [&str; 3] = ["cart", "order", "refund"];
const TYPES: [&str; 3] = ["placed", "paid", "sent"];

/// One writer: some transactions have an id long before they append, some stay open, some append twice, some are rolled back.
async fn write(pool: PgPool, seed: u64) -> Result {
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..TRANSACTIONS {
        let mut transaction = pool.begin().await?;
        if random.random_bool(0.4) {
            transaction.execute("select pg_current_xact_id()").await?;
            tokio::time::sleep(Duration::from_millis(random.random_range(0..10))).await;
        }
        // In the order of their names, so that no two wait for each other.
        let mut streams: Vec<String> = (0..random.random_range(1..4))
            .map(|_| {
                let category = CATEGORIES[random.random_range(0..CATEGORIES.len())];
                format!("{category}-{}", random.random_range(0..STREAMS))
            })
            .collect();
        streams.sort();
        for stream in streams {
            let name = TYPES[random.random_range(0..TYPES.len())];
            append(&mut transaction, &stream, &[name]).await?;
        }
        if random.random_bool(0.4) {
            tokio::time::sleep(Duration::from_millis(random.random_range(0..30))).await;
        }
        if random.random_bool(0.2) {
            transaction.rollback().await?;
        } else {
            transaction.commit().await?;
        }
    }
    Ok(())
}

/// What a reader wants.
#[derive(Clone, Copy, Debug)]
struct Kind {
    categories: &'static [&'static str],
    types: &'static [&'static str],
    /// Each difference from its newest event on.
    is_backward: bool,
}

const KINDS: [Kind; 6] = [
    Kind {
        categories: &[],
        types: &[],
        is_backward: false,
    },
    Kind {
        categories: &[],
        types: &[],
        is_backward: true,
    },
    Kind {
        categories: &["order"],
        types: &[],
        is_backward: false,
    },
    Kind {
        categories: &["order", "cart"],
        types: &["paid"],
        is_backward: false,
    },
    Kind {
        categories: &["cart", "refund"],
        types: &[],
        is_backward: true,
    },
    Kind {
        categories: &[],
        types: &["sent", "paid"],
        is_backward: false,
    },
];

impl Kind {
    fn read(self, cursor: Option<&str>, events_max: u32) -> Result<EventRead> {
        let mut read = EventRead::all().limits(PageLimits {
            events_max,
            ..PageLimits::default()
        });
        if !self.categories.is_empty() {
            read = read.categories(self.categories.iter().copied());
        }
        if !self.types.is_empty() {
            read = read.types(self.types.iter().copied());
        }
        if self.is_backward {
            read = read.backward();
        }
        Ok(match cursor {
            Some(text) => read.behind(text.parse::<Cursor>()?),
            None => read,
        })
    }
}

/// Reads on and on, page by page, each on whatever connection there is, until a whole read that began after the writers had ended.
async fn follow(pool: PgPool, kind: Kind, seed: u64, ended: CancellationToken) -> Result<Vec<(String, i64)>> {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let is_last = ended.is_cancelled();
        loop {
            let read = kind.read(cursor.as_deref(), random.random_range(1..8))?;
            let mut connection = pool.acquire().await?;
            let page = event_store::read_events_page(&mut connection, &read).await?;
            drop(connection);
            for event in &page.events {
                found.push((event.stream.to_string(), i64::try_from(event.version)?));
            }
            cursor = Some(page.cursor.to_string());
            if page.is_end {
                break;
            }
            if random.random_bool(0.2) {
                tokio::time::sleep(Duration::from_millis(random.random_range(0..10))).await;
            }
        }
        if is_last {
            return Ok(found);
        }
    }
}

#[tokio::test]
async fn what_was_read_is_what_is_stored_whatever_writers_do() -> Result {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let world = World::new().await?;
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(16)
        .acquire_timeout(Duration::from_secs(120))
        .connect(&world.log().url_of(Login::Service))
        .await?;
    let (ended, mut writers, mut readers) = (CancellationToken::new(), JoinSet::new(), JoinSet::new());
    for (n, kind) in KINDS.into_iter().enumerate() {
        let (pool, seed, ended) = (pool.clone(), seed.wrapping_add(100 + n as u64), ended.clone());
        readers.spawn(async move { (kind, follow(pool, kind, seed, ended).await) });
    }
    for n in 0..WRITERS {
        writers.spawn(write(pool.clone(), seed.wrapping_add(n)));
    }
    while let Some(outcome) = writers.join_next().await {
        outcome??;
    }
    ended.cancel();
    while let Some(outcome) = readers.join_next().await {
        let (kind, found) = outcome?;
        let found = found?;
        let stored: Vec<(String, i64)> = sqlx::query_as(
            "select stream, version from outbox.stored_event
             where (cardinality($1::text[]) = 0 or split_part(stream, '-', 1) = any($1)) and (cardinality($2::text[]) = 0 or type = any($2))
             order by stream collate \"C\", version",
        )
        .bind(kind.categories)
        .bind(kind.types)
        .fetch_all(&pool)
        .await?;
        if !kind.is_backward {
            in_order(&found, seed)?;
        }
        let mut sorted = found;
        sorted.sort();
        assert_eq!(sorted, stored, "{kind:?}, seed {seed}");
    }
    Ok(())
}

/// Of each stream in its order.
fn in_order(found: &[(String, i64)], seed: u64) -> Result {
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    for (stream, version) in found {
        let before = last.insert(stream, *version).unwrap_or(0);
        if *version <= before {
            return Err(Failure::new(format!(
                "{stream}: version {version} came behind {before} (seed {seed})"
            )));
        }
    }
    Ok(())
}
