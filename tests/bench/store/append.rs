//! Transactions that append, and transactions that insert the same rows.

use std::fmt;
use std::time::Instant;

use outbox_core::append::NewEvent;
use outbox_core::event_store::{self, Expected, Outcome, StreamName};
use sqlx::{Connection as _, PgConnection};
use system_tests::{Failure, Result};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::ground::{Ground, payload, raw_stream};

/// The statement that a service would write by hand.
const RAW_INSERT: &str =
    "insert into bench.raw (retention, id, source, type, data_content_type, data, stream, version, category)
    select 'stream', e.id, '/bench', 'bench.done', 'application/json', e.data, $3, $4 + e.n, 1
    from unnest($1::uuid[], $2::text[]) with ordinality e (id, data, n)";

/// Transactions that append so many events each, to streams of their own or to one, over so many connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Append {
    pub(crate) transactions: usize,
    pub(crate) events: usize,
    pub(crate) connections: usize,
    pub(crate) one_stream: bool,
}

/// Where the events of a transaction go.
#[derive(Clone, Debug)]
enum Target {
    Store(StreamName),
    Raw(i64),
}

impl fmt::Display for Append {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let streams = if self.one_stream {
            "one stream"
        } else {
            "many streams"
        };
        write!(
            f,
            "transactions that append {} to {streams}, {} at a time",
            self.events, self.connections
        )
    }
}

impl Append {
    pub(super) async fn ours(self, ground: &mut Ground) -> Result<(usize, f64)> {
        let streams = self.streams(ground);
        let names = streams.map(|stream| Ok(Target::Store(StreamName::new("bench", stream)?)));
        self.run(ground, names.collect::<Result<_>>()?).await
    }

    pub(super) async fn raw(self, ground: &mut Ground) -> Result<(usize, f64)> {
        let streams = self.streams(ground);
        let numbers = streams.map(|stream| Ok(Target::Raw(raw_stream(stream)?)));
        self.run(ground, numbers.collect::<Result<_>>()?).await
    }

    /// The stream of each transaction.
    fn streams(self, ground: &mut Ground) -> impl Iterator<Item = u64> + use<> {
        let streams = ground.new_streams(if self.one_stream {
            1
        } else {
            self.transactions as u64
        });
        (0..self.transactions as u64).map(move |n| {
            if self.one_stream {
                streams.start
            } else {
                streams.start + n
            }
        })
    }

    /// Has each connection do its share, and says how long that took.
    async fn run(self, ground: &Ground, targets: Vec<Target>) -> Result<(usize, f64)> {
        let mut tasks = JoinSet::new();
        let began = Instant::now();
        for share in targets.chunks(self.transactions.div_ceil(self.connections)) {
            let mut connection = ground.pool().acquire().await?;
            let share = share.to_vec();
            tasks.spawn(async move {
                for (done, target) in (0_u64..).zip(share) {
                    let seen = if self.one_stream {
                        done * self.events as u64
                    } else {
                        0
                    };
                    target.write(&mut connection, seen, self.events).await?;
                }
                Ok::<_, Failure>(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok((self.transactions, began.elapsed().as_secs_f64()))
    }
}

impl Target {
    async fn write(self, connection: &mut PgConnection, seen: u64, events: usize) -> Result {
        match self {
            Self::Store(name) => append(connection, &name, seen, events).await,
            Self::Raw(stream) => insert(connection, stream, i64::try_from(seen)?, events).await,
        }
    }
}

pub(super) async fn append(
    connection: &mut PgConnection,
    name: &StreamName,
    seen: u64,
    events: usize,
) -> Result {
    let new = (0..events)
        .map(|number| NewEvent::stored("bench.done").json_text(payload(number)))
        .collect();
    let mut transaction = connection.begin().await?;
    match event_store::append(&mut transaction, name, Expected::Version(seen), new).await? {
        Outcome::Appended { .. } => Ok(transaction.commit().await?),
        other => Err(Failure::new(format!("{name} at {seen}: {other:?}"))),
    }
}

pub(super) async fn insert(connection: &mut PgConnection, stream: i64, seen: i64, events: usize) -> Result {
    let ids: Vec<Uuid> = (0..events).map(|_| Uuid::now_v7()).collect();
    let data: Vec<String> = (0..events).map(payload).collect();
    let mut transaction = connection.begin().await?;
    sqlx::query(RAW_INSERT)
        .bind(&ids)
        .bind(&data)
        .bind(stream)
        .bind(seen)
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}
