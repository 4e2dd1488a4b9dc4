//! Writers that do everything the log must endure: early transaction ids, savepoints, rollbacks, commits held open while
//! others overtake. What each of them did is in its journal.
//!
//! Order per key is known because every writer takes the key's counter row `for update` before it appends: the number
//! drawn under that lock is the place of the event among those of its key, in order of commit.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::journal::{Fact, Journal, Outcome};
use crate::{Database, Failure, Login, Result};

const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// What the writers do. Chances are percentages of transactions.
#[derive(Clone, Debug)]
pub struct Workload {
    /// How many write at once.
    pub writers: usize,
    /// How many keys they share.
    pub keys: usize,
    /// Topics; a key belongs to one.
    pub topics: Vec<String>,
    /// Where the chances come from; printed when a run fails.
    pub seed: u64,
    /// Take their transaction id before the first lock, as a service does that writes its own rows first.
    pub early_id: u32,
    /// Are rolled back at the end.
    pub rollback: u32,
    /// Append inside a savepoint, every other one of which is rolled back.
    pub savepoint: u32,
    /// Wait before they commit.
    pub hold: u32,
    /// The longest such wait.
    pub hold_at_most: Duration,
    /// What a writer waits between two transactions.
    pub pause: Duration,
    /// How long a writer keeps trying to get its connection back.
    pub reconnect_within: Duration,
    /// Statements every session begins with.
    pub session: Vec<String>,
    /// What the keys' names begin with: writers of different workloads share none.
    pub key_prefix: String,
    /// Another way to the database than its own address.
    pub url: Option<String>,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            writers: 8,
            keys: 40,
            topics: ["orders.placed", "payments.taken", "stock.moved"]
                .map(str::to_owned)
                .to_vec(),
            seed: rand::random(),
            early_id: 50,
            rollback: 10,
            savepoint: 20,
            hold: 5,
            hold_at_most: Duration::from_millis(150),
            pause: Duration::ZERO,
            reconnect_within: Duration::from_secs(30),
            session: Vec::new(),
            key_prefix: "key".to_owned(),
            url: None,
        }
    }
}

/// Running writers.
#[derive(Debug)]
pub struct Producers {
    stop: CancellationToken,
    committed: watch::Receiver<usize>,
    tasks: JoinSet<Result<Journal>>,
    seed: u64,
}

impl Workload {
    /// Makes the shop's counters (once per database) and starts the writers.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn start(self, database: &Database) -> Result<Producers> {
        let mut connection = database.connect().await?;
        connection
            .execute("create table if not exists public.counter (key text primary key, number bigint not null default 0)")
            .await?;
        sqlx::query("insert into public.counter (key) select $2 || '-' || n from generate_series(0, $1 - 1) n on conflict do nothing")
            .bind(i32::try_from(self.keys)?)
            .bind(&self.key_prefix)
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        let stop = CancellationToken::new();
        let (sender, committed) = watch::channel(0);
        let mut tasks = JoinSet::new();
        for number in 0..self.writers {
            let writer = Writer {
                random: StdRng::seed_from_u64(self.seed.wrapping_add(number as u64)),
                workload: self.clone(),
                url: Login::Producer.database_url(self.url.as_deref().unwrap_or(database.url())),
                journal: Journal::default(),
                committed: sender.clone(),
            };
            tasks.spawn(writer.run(stop.clone()));
        }
        Ok(Producers {
            stop,
            committed,
            tasks,
            seed: self.seed,
        })
    }
}

impl Producers {
    /// How many transactions were committed so far.
    #[must_use]
    pub fn committed(&self) -> usize {
        *self.committed.borrow()
    }

    /// Waits until so many more transactions are committed.
    ///
    /// # Errors
    /// When that takes longer than the limit.
    pub async fn commit_more(&mut self, transactions: usize, limit: Duration) -> Result {
        let target = self.committed() + transactions;
        let wait = tokio::time::timeout(limit, self.committed.wait_for(|count| *count >= target));
        if matches!(wait.await, Ok(Ok(_))) {
            return Ok(());
        }
        let seen = self.committed();
        Err(Failure::new(format!(
            "{seen} of {target} transactions committed within {limit:?} (seed {})",
            self.seed
        )))
    }

    /// Lets every writer finish its transaction, and returns what they did.
    ///
    /// # Errors
    /// When a writer could not go on.
    pub async fn stop(mut self) -> Result<Journal> {
        self.stop.cancel();
        let mut journal = Journal::default();
        while let Some(finished) = self.tasks.join_next().await {
            journal.merge(finished??);
        }
        eprintln!(
            "producers: seed {}, {} events committed",
            self.seed,
            journal.count(Outcome::Committed)
        );
        Ok(journal)
    }
}

struct Writer {
    random: StdRng,
    workload: Workload,
    url: String,
    journal: Journal,
    committed: watch::Sender<usize>,
}

impl Writer {
    async fn run(mut self, stop: CancellationToken) -> Result<Journal> {
        let mut connection = self.connect().await?;
        while !stop.is_cancelled() {
            let mut facts = Vec::new();
            let begun = Instant::now();
            let mut held = Duration::ZERO;
            let errors_before = self.journal.errors.len();
            let outcome = match self.prepare(&mut connection, &mut facts, &mut held).await {
                Ok(true) => match connection.execute("commit").await {
                    Ok(_) => Outcome::Committed,
                    Err(error) => self.failed("commit", &error, Outcome::Unknown),
                },
                Ok(false) => match connection.execute("rollback").await {
                    Ok(_) => Outcome::RolledBack,
                    Err(error) => self.failed("rollback", &error, Outcome::RolledBack),
                },
                Err(error) => self.failed("statement", &error, Outcome::RolledBack),
            };
            if outcome == Outcome::Committed {
                self.journal.slowest = self.journal.slowest.max(begun.elapsed().saturating_sub(held));
                self.committed.send_modify(|count| *count += 1);
            }
            for (fact, undone) in facts {
                self.journal
                    .record(fact, if undone { Outcome::RolledBack } else { outcome });
            }
            let failed = self.journal.errors.len() > errors_before;
            if failed && connection.execute("rollback").await.is_err() {
                connection = self.connect().await?;
            }
            if !self.workload.pause.is_zero() {
                tokio::time::sleep(self.workload.pause).await;
            }
        }
        connection.close().await.ok();
        Ok(self.journal)
    }

    fn failed(&mut self, doing: &str, error: &sqlx::Error, outcome: Outcome) -> Outcome {
        let code = error
            .as_database_error()
            .and_then(|said| Some(format!(" (SQLSTATE {})", said.code()?)));
        self.journal
            .errors
            .push(format!("{doing}: {error}{}", code.unwrap_or_default()));
        outcome
    }

    /// Everything before the end of a transaction; true when it is to be committed. Each fact comes with whether a
    /// savepoint took it back.
    async fn prepare(
        &mut self,
        connection: &mut PgConnection,
        facts: &mut Vec<(Fact, bool)>,
        held: &mut Duration,
    ) -> sqlx::Result<bool> {
        connection.execute("begin").await?;
        if self.chance(self.workload.early_id) {
            connection.execute("select pg_current_xact_id()").await?;
        }
        let first = self.random.random_range(0..self.workload.keys);
        let count = self.random.random_range(1..=3);
        let mut keys: Vec<usize> = (0..count).map(|n| (first + n * 7) % self.workload.keys).collect();
        // One order for all writers, or they would wait for each other in a circle.
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            if self.chance(self.workload.savepoint) {
                connection.execute("savepoint inner_one").await?;
                let fact = self.append(connection, key).await?;
                let undone = self.random.random();
                if undone {
                    connection.execute("rollback to savepoint inner_one").await?;
                }
                facts.push((fact, undone));
            } else {
                facts.push((self.append(connection, key).await?, false));
            }
        }
        if self.chance(self.workload.hold) {
            *held = self.workload.hold_at_most.mul_f64(self.random.random());
            tokio::time::sleep(*held).await;
        }
        Ok(!self.chance(self.workload.rollback))
    }

    async fn append(&mut self, connection: &mut PgConnection, key: usize) -> sqlx::Result<Fact> {
        let topic = self.workload.topics[key % self.workload.topics.len()].clone();
        let (id, key) = (Uuid::now_v7(), format!("{}-{key}", self.workload.key_prefix));
        sqlx::query("select number from public.counter where key = $1 for update")
            .bind(&key)
            .execute(&mut *connection)
            .await?;
        let number: i64 = sqlx::query_scalar(
            "update public.counter set number = number + 1 where key = $1 returning number",
        )
        .bind(&key)
        .fetch_one(&mut *connection)
        .await?;
        sqlx::query("select outbox.append($1, json_build_object('number', $2), key => $3, id => $4)")
            .bind(&topic)
            .bind(number)
            .bind(&key)
            .bind(id)
            .execute(&mut *connection)
            .await?;
        Ok(Fact {
            id,
            topic,
            key,
            number,
        })
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    /// Connects, waiting for a server that is on its way back.
    async fn connect(&self) -> Result<PgConnection> {
        let deadline = Instant::now() + self.workload.reconnect_within;
        loop {
            match PgConnection::connect(&self.url).await {
                Ok(mut connection) => {
                    for statement in &self.workload.session {
                        connection.execute(AssertSqlSafe(statement.clone())).await?;
                    }
                    return Ok(connection);
                }
                Err(error) if Instant::now() > deadline => return Err(error.into()),
                Err(_) => tokio::time::sleep(RECONNECT_PAUSE).await,
            }
        }
    }
}
