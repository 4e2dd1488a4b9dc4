//! What is measured: the same rows by the store and without it.

use std::fmt;
use std::time::Instant;

use futures_util::TryStreamExt as _;
use outbox_core::append::NewEvent;
use outbox_core::event_store::{self, Expected, Outcome, StreamName, StreamRead};
use sqlx::{Connection as _, PgConnection, Row as _};
use system_tests::{Failure, Result};
use time::OffsetDateTime;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::ground::Ground;

/// The statement that a service would write by hand.
const RAW_INSERT: &str =
    "insert into bench.raw (retention, id, source, type, data_content_type, data, stream, version, category)
    select 'stream', e.id, '/bench', 'bench.done', 'application/json', e.data, $3, $4 + e.n, 1
    from unnest($1::uuid[], $2::text[]) with ordinality e (id, data, n)";
const RAW_SELECT: &str = "select position, recorded_at, version, id, source, type, subject, time, data_content_type, data_schema, schema_version,
    correlation_id, causation_id, traceparent, tracestate, extensions::text as extensions, tags, topic, data, data_binary
    from bench.raw where stream = $1 and version > $2 order by version limit 500";
/// Streams of the raw table that no stream of the store has.
const RAW_STREAMS: i64 = -1;

/// One thing that is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Case {
    /// Transactions that append so many events each, to streams of their own or to one, over so many connections.
    Append {
        transactions: usize,
        events: usize,
        connections: usize,
        one_stream: bool,
    },
    /// Reads of a stream of a thousand events, whole.
    Load { times: usize },
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append {
                events,
                connections,
                one_stream,
                ..
            } => {
                let streams = if *one_stream { "one stream" } else { "many streams" };
                write!(
                    f,
                    "transactions that append {events} to {streams}, {connections} at a time"
                )
            }
            Self::Load { .. } => f.write_str("loads of a stream of 1,000 events"),
        }
    }
}

impl Case {
    pub(crate) fn all() -> Vec<Self> {
        let append = |transactions, events, connections, one_stream| Self::Append {
            transactions,
            events,
            connections,
            one_stream,
        };
        vec![
            append(1_500, 1, 1, true),
            append(1_500, 1, 1, false),
            append(6_000, 1, 16, false),
            append(200, 100, 1, true),
            Self::Load { times: 100 },
        ]
    }

    /// How many operations, and how long they took.
    pub(crate) async fn ours(&self, ground: &mut Ground) -> Result<(usize, f64)> {
        match *self {
            Self::Append {
                transactions,
                events,
                connections,
                one_stream,
            } => {
                let streams = ground.new_streams(if one_stream { 1 } else { transactions as u64 });
                let names: Vec<StreamName> = (0..transactions as u64)
                    .map(|n| {
                        StreamName::new(
                            "bench",
                            if one_stream {
                                streams.start
                            } else {
                                streams.start + n
                            },
                        )
                    })
                    .collect::<std::result::Result<_, _>>()?;
                let shares = names
                    .chunks(transactions.div_ceil(connections))
                    .map(<[_]>::to_vec);
                let mut tasks = JoinSet::new();
                let began = Instant::now();
                for share in shares {
                    let mut connection = ground.pool().acquire().await?;
                    tasks.spawn(async move {
                        for (done, name) in (0_u64..).zip(share) {
                            let seen = if one_stream { done * events as u64 } else { 0 };
                            append(&mut connection, &name, seen, events).await?;
                        }
                        Ok::<_, Failure>(())
                    });
                }
                while let Some(done) = tasks.join_next().await {
                    done??;
                }
                Ok((transactions, began.elapsed().as_secs_f64()))
            }
            Self::Load { times } => {
                let name = StreamName::new("bench", ground.new_streams(1).start)?;
                let mut connection = ground.connect().await?;
                append(&mut connection, &name, 0, 1_000).await?;
                let began = Instant::now();
                for _ in 0..times {
                    let events: Vec<_> = event_store::read_stream(&mut connection, StreamRead::of(&name))
                        .try_collect()
                        .await?;
                    if events.len() != 1_000 {
                        return Err(Failure::new(format!("{} events of 1,000", events.len())));
                    }
                }
                Ok((times, began.elapsed().as_secs_f64()))
            }
        }
    }

    /// The same without a store.
    pub(crate) async fn raw(&self, ground: &mut Ground) -> Result<(usize, f64)> {
        let streams = ground.new_streams(match *self {
            Self::Append {
                transactions,
                one_stream: false,
                ..
            } => transactions as u64,
            _ => 1,
        });
        let first = RAW_STREAMS - i64::try_from(streams.start)?;
        match *self {
            Self::Append {
                transactions,
                events,
                connections,
                one_stream,
            } => {
                let numbers: Vec<i64> = (0..i64::try_from(transactions)?)
                    .map(|n| if one_stream { first } else { first - n })
                    .collect();
                let shares = numbers
                    .chunks(transactions.div_ceil(connections))
                    .map(<[_]>::to_vec);
                let mut tasks = JoinSet::new();
                let began = Instant::now();
                for share in shares {
                    let mut connection = ground.pool().acquire().await?;
                    tasks.spawn(async move {
                        for (done, stream) in (0_i64..).zip(share) {
                            let seen = if one_stream {
                                done * i64::try_from(events)?
                            } else {
                                0
                            };
                            insert(&mut connection, stream, seen, events).await?;
                        }
                        Ok::<_, Failure>(())
                    });
                }
                while let Some(done) = tasks.join_next().await {
                    done??;
                }
                Ok((transactions, began.elapsed().as_secs_f64()))
            }
            Self::Load { times } => {
                let mut connection = ground.connect().await?;
                insert(&mut connection, first, 0, 1_000).await?;
                let began = Instant::now();
                for _ in 0..times {
                    select(&mut connection, first).await?;
                }
                Ok((times, began.elapsed().as_secs_f64()))
            }
        }
    }
}

fn payload(number: usize) -> String {
    format!(r#"{{"number":{number},"filling":"{}"}}"#, "x".repeat(150))
}

async fn append(connection: &mut PgConnection, name: &StreamName, seen: u64, events: usize) -> Result {
    let new = (0..events)
        .map(|number| NewEvent::stored("bench.done").json_text(payload(number)))
        .collect();
    let mut transaction = connection.begin().await?;
    match event_store::append(&mut transaction, name, Expected::Version(seen), new).await? {
        Outcome::Appended { .. } => Ok(transaction.commit().await?),
        other => Err(Failure::new(format!("{name} at {seen}: {other:?}"))),
    }
}

async fn insert(connection: &mut PgConnection, stream: i64, seen: i64, events: usize) -> Result {
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

async fn select(connection: &mut PgConnection, stream: i64) -> Result {
    let mut seen = 0;
    loop {
        let rows = sqlx::query(RAW_SELECT)
            .bind(stream)
            .bind(seen)
            .fetch_all(&mut *connection)
            .await?;
        // As a service would: into values.
        for row in &rows {
            let _: (i64, OffsetDateTime, i64, Uuid) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            for column in (4..=5).chain(18..=18) {
                row.try_get::<String, _>(column)?;
            }
            for column in [6].into_iter().chain(8..=15).chain([17]) {
                row.try_get::<Option<String>, _>(column)?;
            }
        }
        match rows.last() {
            Some(last) => seen = last.try_get::<i64, _>("version")?,
            None if seen == 1_000 => return Ok(()),
            None => return Err(Failure::new(format!("{seen} rows of 1,000"))),
        }
    }
}
