//! The log and the ledger of one database, in the hands of the writers and relays of a trace.

use std::collections::HashMap;

use protocol_model::step::{Step, Who};
use sqlx::{Executor, PgConnection, Row};
use system_tests::{Failure, Result, World};
use uuid::Uuid;

const CUT_FEW: &str = include_str!("../../outbox-core/queries/tail/cut_few.sql");
const LOOK: &str = include_str!("../../outbox-core/queries/tail/look.sql");
const CUT_LOOKED: &str = include_str!("../../outbox-core/queries/tail/cut_looked.sql");
/// Above every position that is drawn here.
const THROUGH: i64 = 1_000_000;

/// A writer's transaction.
struct Writer {
    connection: PgConnection,
    event: Uuid,
    is_open: bool,
}

/// How a relay cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By the statement that finds what it cuts.
    AtOnce,
    /// It looks, and cuts what it saw.
    Looked,
    /// The same, and it looked long before: as soon as it knew the end of the ledger.
    LookedEarly,
    /// It looks when the trace says so.
    LookedWhenTold,
}

/// The end of the ledger as a relay knows it, and what it saw behind it.
#[derive(Clone)]
struct Head {
    number: i64,
    batch_id: i64,
    snapshot: String,
    seen: Option<Seen>,
}

/// What a look brought.
#[derive(Clone)]
struct Seen {
    snapshot: String,
    server: (i32, i64),
    /// Position and id of each event, and whether its transaction is new.
    rows: Vec<(i64, Uuid, bool)>,
}

/// What came of a step of a relay.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// A batch of these events.
    Batch(Vec<u8>),
    /// There was nothing to cut.
    Nothing,
    /// The place in the ledger was taken.
    Refused,
    /// It was no step of a relay.
    Other,
}

/// Everything that a trace of cutting acts on.
pub(crate) struct Log {
    writers: Vec<Writer>,
    relays: Vec<(PgConnection, Option<Head>)>,
    way: Way,
    /// The events of each batch in the ledger.
    pub(crate) batches: Vec<Vec<u8>>,
    /// Writers in the order of their commits.
    pub(crate) committed: Vec<u8>,
}

impl Log {
    pub(crate) async fn new(world: &World, writers: usize, way: Way) -> Result<Self> {
        let mut all = Vec::new();
        for _ in 0..writers {
            all.push(Writer {
                connection: world.connect().await?,
                event: Uuid::now_v7(),
                is_open: false,
            });
        }
        Ok(Self {
            writers: all,
            relays: vec![(world.connect().await?, None), (world.connect().await?, None)],
            way,
            batches: Vec::new(),
            committed: Vec::new(),
        })
    }

    /// Does what a step of the models `tail` and `doorbell` says.
    pub(crate) async fn follow(&mut self, step: &Step) -> Result<Came> {
        match (step.who, step.does) {
            (Who::Writer(at), does) => self.write(at, does).await?,
            (Who::Relay(at), "read the ledger") => self.read(at).await?,
            (Who::Relay(at), "look") if self.way == Way::LookedWhenTold => {
                let (connection, head) = &mut self.relays[at as usize];
                if let Some(head) = head {
                    head.seen = Some(look(connection, head).await?);
                }
            }
            (Who::Relay(at), "cut" | "be refused" | "cut nothing" | "look" | "look once more") => {
                return self.cut(at).await;
            }
            _ => {}
        }
        Ok(Came::Other)
    }

    async fn write(&mut self, at: u8, does: &str) -> Result {
        let writer = &mut self.writers[at as usize];
        if !writer.is_open {
            writer.connection.execute("begin").await?;
            writer.is_open = true;
        }
        match does {
            "take an id" => {
                writer.connection.execute("select pg_current_xact_id()").await?;
            }
            "append" => {
                // The third one is a stranger to the key of the others.
                let key = if at < 2 { "k" } else { "another" };
                sqlx::query("select outbox.append('t', '{}', key => $1, id => $2)")
                    .bind(key)
                    .bind(writer.event)
                    .execute(&mut writer.connection)
                    .await?;
            }
            "commit" => {
                writer.connection.execute("commit").await?;
                self.committed.push(at);
            }
            "roll back" => {
                writer.connection.execute("rollback").await?;
            }
            other => return Err(Failure::new(format!("a writer does not {other}"))),
        }
        Ok(())
    }

    async fn read(&mut self, at: u8) -> Result {
        let (connection, head) = &mut self.relays[at as usize];
        let end = "select number, batch_id, snapshot::text from outbox.batch order by number desc limit 1";
        let (number, batch_id, snapshot) = sqlx::query_as(end).fetch_one(&mut *connection).await?;
        let mut read = Head {
            number,
            batch_id,
            snapshot,
            seen: None,
        };
        if self.way == Way::LookedEarly {
            read.seen = Some(look(connection, &read).await?);
        }
        *head = Some(read);
        Ok(())
    }

    /// Cuts behind what the relay knows as the end, with the relay's own statements.
    pub(crate) async fn cut(&mut self, at: u8) -> Result<Came> {
        if self.relays[at as usize].1.is_none() {
            self.read(at).await?;
        }
        let events: HashMap<Uuid, u8> = self.writers.iter().map(|writer| writer.event).zip(0..).collect();
        let (connection, head) = &mut self.relays[at as usize];
        let Some(mut known) = head.take() else {
            return Err(Failure::new("the end of the ledger was just read"));
        };
        let cut = match self.way {
            Way::AtOnce => cut_at_once(connection, &mut known).await,
            Way::Looked | Way::LookedEarly | Way::LookedWhenTold => cut_looked(connection, &mut known).await,
        };
        let ids = match cut {
            Err(error) if is_taken(&error) => return Ok(Came::Refused),
            cut => cut?,
        };
        if self.way == Way::LookedEarly {
            known.seen = Some(look(connection, &known).await?);
        }
        *head = Some(known);
        if ids.is_empty() {
            return Ok(Came::Nothing);
        }
        let batch: Vec<u8> = ids.iter().filter_map(|id| events.get(id).copied()).collect();
        self.batches.push(batch.clone());
        Ok(Came::Batch(batch))
    }

    /// Lets whoever is at it commit, in the order of their numbers, and cuts what is left.
    pub(crate) async fn finish(&mut self) -> Result {
        for at in 0..self.writers.len() {
            if self.writers[at].is_open && !self.committed.contains(&(at as u8)) {
                self.writers[at].connection.execute("rollback").await?;
            }
        }
        if self.way == Way::LookedEarly {
            self.way = Way::Looked;
        }
        for at in 0..2 {
            self.read(at).await?;
            while matches!(self.cut(at).await?, Came::Batch(_)) {}
        }
        Ok(())
    }
}

async fn cut_at_once(connection: &mut PgConnection, head: &mut Head) -> sqlx::Result<Vec<Uuid>> {
    let (xmax, open) = bounds(&head.snapshot);
    let rows = sqlx::query(CUT_FEW)
        .bind(head.number)
        .bind(xmax)
        .bind(open)
        .bind(1_i32)
        .bind(1_i64)
        .bind(100_i64)
        .bind(1_i64 << 20)
        .bind(0_i64)
        .bind(THROUGH)
        .fetch_all(connection)
        .await?;
    if let Some(first) = rows.first() {
        head.number = first.try_get("number")?;
        head.batch_id = first.try_get("batch_id")?;
        head.snapshot = first.try_get("snapshot")?;
    }
    rows.iter().map(|row| row.try_get("id")).collect()
}

async fn look(connection: &mut PgConnection, head: &Head) -> sqlx::Result<Seen> {
    let (xmax, open) = bounds(&head.snapshot);
    let found = sqlx::query(LOOK)
        .bind(xmax)
        .bind(open)
        .bind(0_i64)
        .bind(THROUGH)
        .bind(100_i64)
        .bind(1_i32 << 20)
        .fetch_all(connection)
        .await?;
    let mut seen = Seen {
        snapshot: found[0].try_get("snapshot")?,
        server: (found[0].try_get("backend")?, found[0].try_get("started")?),
        rows: Vec::new(),
    };
    for row in &found {
        if let Some(position) = row.try_get::<Option<i64>, _>("position")? {
            seen.rows
                .push((position, row.try_get("id")?, row.try_get("is_new")?));
        }
    }
    seen.rows.sort_unstable();
    Ok(seen)
}

async fn cut_looked(connection: &mut PgConnection, head: &mut Head) -> sqlx::Result<Vec<Uuid>> {
    let seen = match head.seen.take() {
        Some(seen) => seen,
        None => look(connection, head).await?,
    };
    let (Some(first), Some(last)) = (seen.rows.first(), seen.rows.last()) else {
        return Ok(Vec::new());
    };
    let count = i64::try_from(seen.rows.len()).unwrap_or_default();
    let new = seen.rows.iter().find(|row| row.2).map(|row| row.0);
    let cut = sqlx::query(CUT_LOOKED)
        .bind(head.number)
        .bind(head.batch_id)
        .bind(1_i32)
        .bind(1_i64)
        .bind(&seen.snapshot)
        .bind(count)
        .bind(first.0)
        .bind(last.0)
        .bind(seen.server.0)
        .bind(seen.server.1)
        .bind(["t"].as_slice())
        .bind([count].as_slice())
        .bind([first.0].as_slice())
        .bind([last.0].as_slice())
        .bind([new].as_slice())
        .bind(false)
        .fetch_one(connection)
        .await?;
    head.number = cut.try_get("number")?;
    head.batch_id = cut.try_get("batch_id")?;
    head.snapshot = seen.snapshot;
    Ok(seen.rows.into_iter().map(|row| row.1).collect())
}

/// xmax of a snapshot, and the transactions that were open in it.
fn bounds(snapshot: &str) -> (String, Vec<String>) {
    let mut parts = snapshot.split(':').skip(1);
    let xmax = parts.next().unwrap_or_default().to_owned();
    let open = parts.next().unwrap_or_default().split(',');
    (
        xmax,
        open.filter(|xid| !xid.is_empty()).map(str::to_owned).collect(),
    )
}

fn is_taken(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == "23505")
}
