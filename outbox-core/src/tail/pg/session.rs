//! One connection of the relay: bounded in time, never cancelled, given up when in doubt.
//!
//! A statement that takes too long is not cancelled (a cancel can hit the next one); the session is closed instead, and
//! whoever needs the outcome reads the ledger on a new one. Behind a transaction pooler statements are unnamed, since a
//! name belongs to a server connection that the next transaction may not get.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Row, SimpleQueryMessage, Statement};

use crate::tail::{Error, Kind};

/// What a connection says besides answers: notifications and notices.
pub type Messages = Pin<Box<dyn Stream<Item = Result<AsyncMessage, tokio_postgres::Error>> + Send>>;

/// Opens a connection to the primary for the purpose named (shown as `application_name`).
pub type Dial =
    Arc<dyn Fn(&'static str) -> BoxFuture<'static, Result<(Client, Messages), DialError>> + Send + Sync>;

/// Why a connection could not be made: a sentence without secrets.
pub type DialError = Box<dyn std::error::Error + Send + Sync>;

/// The longest that a cut may take, whatever the limit of other statements: it counts everything that was appended since the
/// batch before, and after days without a relay that is read from disk. Given up before its end it would never be cut.
pub(crate) const LONGEST_CUT: Duration = Duration::from_secs(900);

/// How long a plan is kept. It is made for any parameters and by the sizes of that moment: where statistics were made of a piece of the
/// log while it was empty, one index is as good as another, and what was cheap then reads the whole piece once it is full.
const PLANS_LAST: Duration = Duration::from_secs(10);
/// So many statements are a session at work; one that hardly asks anything keeps its plans for longer.
const AT_WORK: u32 = 20;
const PLANS_LAST_AT_REST: Duration = Duration::from_secs(60);

/// After how long a silence the server ends a session that listens: so many times the longest that a running process is silent for, and
/// at least this.
const SILENT_TIMES: u32 = 12;
const SILENT_AT_LEAST: Duration = Duration::from_secs(60);

/// Settings that every session of the relay makes for itself, whatever the server's defaults. Statements are bounded by
/// the client, which gives the session up; the server's limit is behind the longest of these. Every statement names its schemas:
/// what lies in the path of the login, or in its temporary schema, has no part in them.
const SETTINGS: &str = "set search_path = pg_catalog, pg_temp; set synchronous_commit = on; set default_transaction_isolation = 'read committed'; \
    set statement_timeout = '900s'; set idle_in_transaction_session_timeout = '10s'; set enable_seqscan = off; set enable_bitmapscan = off; \
    set plan_cache_mode = force_generic_plan; set jit = off; set max_parallel_workers_per_gather = 0";

/// The same for one transaction, behind a pooler.
const SETTINGS_LOCAL: &str = "begin isolation level read committed read write; set local search_path = pg_catalog, pg_temp; set local synchronous_commit = on; \
    set local statement_timeout = '900s'; set local enable_seqscan = off; set local enable_bitmapscan = off; set local jit = off; set local max_parallel_workers_per_gather = 0";

/// Parameters with their types: needed where statements have no name.
pub(crate) type Parameters<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// A connection with its prepared statements.
pub struct Session {
    pub(super) client: Client,
    pooled: bool,
    limit: Duration,
    /// The server ends a statement before this side gives it up.
    is_bound: bool,
    statements: Mutex<HashMap<&'static str, Statement>>,
    planned: Mutex<Planned>,
    rung: mpsc::Receiver<String>,
    doubtful: Arc<AtomicBool>,
    /// Behind a pooler a statement is three messages, and those of another must not come in between.
    pub(super) turn: tokio::sync::Mutex<()>,
    pump: JoinHandle<()>,
}

/// When plans were last made anew, and how many statements came since.
struct Planned {
    at: Instant,
    statements: u32,
}

impl Planned {
    /// Counts a statement; true if plans are to be made anew before it.
    fn are_old(&mut self, now: Instant) -> bool {
        self.statements = self.statements.saturating_add(1);
        let last = if self.statements > AT_WORK {
            PLANS_LAST
        } else {
            PLANS_LAST_AT_REST
        };
        let is_over = now.duration_since(self.at) >= last;
        if is_over {
            *self = Self {
                at: now,
                statements: 0,
            };
        }
        is_over
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

impl Session {
    /// Connects. `pooled`: a transaction pooler may be in between. `limit`: the longest any statement may take.
    ///
    /// # Errors
    /// The connection cannot be made or its settings are refused.
    pub async fn open(
        dial: &Dial,
        purpose: &'static str,
        pooled: bool,
        limit: Duration,
    ) -> Result<Self, Error> {
        let dialled = tokio::time::timeout(limit, dial(purpose)).await;
        let (client, messages) = dialled
            .map_err(|_| {
                Error::new(
                    Kind::Connection,
                    format!("no connection to Postgres within {limit:?}"),
                )
            })?
            .map_err(|error| Error::with_source(Kind::Connection, "cannot connect to Postgres", error))?;
        // One pending ring is enough: a ring says "look", not what there is.
        let (ring, rung) = mpsc::channel(64);
        let doubtful = Arc::new(AtomicBool::new(false));
        let pump = tokio::spawn(listen(messages, ring, doubtful.clone()));
        let session = Self {
            client,
            pooled,
            limit,
            is_bound: false,
            statements: Mutex::default(),
            planned: Mutex::new(Planned {
                at: Instant::now(),
                statements: 0,
            }),
            rung,
            doubtful,
            turn: tokio::sync::Mutex::new(()),
            pump,
        };
        if !pooled {
            session.batch(SETTINGS).await?;
        }
        Ok(session)
    }

    /// Subscribes to `channel` and proves that notifications arrive on this very socket.
    /// A pooler would take the `listen` and deliver nothing, so the proof is a notification to ourselves.
    /// `silent`: the longest that this side lets pass without a statement.
    pub(crate) async fn listen(&mut self, channel: &'static str, silent: Duration) -> Result<bool, Error> {
        if self.pooled {
            return Ok(false);
        }
        self.batch(&listening(channel, silent)).await?;
        let heard = tokio::time::timeout(Duration::from_secs(2), self.rung.recv()).await;
        Ok(matches!(heard, Ok(Some(_))))
    }

    /// From here on the server ends a statement before this side gives up on it, and when this side is gone: what a person
    /// interrupted is not committed minutes later. For statements that nobody reads the outcome of afterwards.
    pub(crate) async fn bind(mut self) -> Result<Self, Error> {
        self.is_bound = true;
        if !self.pooled {
            self.batch(&bounds("", self.limit)).await?;
        }
        Ok(self)
    }

    /// Whether one statement may come to another connection of the server than the one before.
    pub(crate) fn is_pooled(&self) -> bool {
        self.pooled
    }

    /// The longest that a statement may take.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Waits for a notification; `None` when the connection is gone.
    pub(crate) async fn ring(&mut self) -> Option<String> {
        let first = self.rung.recv().await;
        while self.rung.try_recv().is_ok() {}
        first
    }

    /// Runs one statement whose commit must be durable, within a limit of its own.
    ///
    /// A warning of class 01 on its commit (a wait for a standby was cancelled) means that it may not be: then the outcome
    /// is unknown. Warnings before it, such as one about the collation version at every connect, say nothing about it.
    pub(crate) async fn query_durably(
        &self,
        sql: &'static str,
        parameters: Parameters<'_>,
        limit: Duration,
    ) -> Result<Vec<Row>, Error> {
        self.durably(self.query_within(sql, parameters, limit)).await
    }

    /// Commits by `work`, durably: see [`Self::query_durably`].
    pub(super) async fn durably<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.doubtful.store(false, Ordering::SeqCst);
        let done = work.await?;
        if self.doubtful.swap(false, Ordering::SeqCst) {
            return Err(Error::new(
                Kind::Connection,
                "Postgres warned while a batch was committed: it may not be durable",
            ));
        }
        Ok(done)
    }

    /// Runs one statement.
    pub(crate) async fn query(
        &self,
        sql: &'static str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, Error> {
        self.query_within(sql, parameters, self.limit).await
    }

    /// Runs one statement within a limit of its own.
    pub(crate) async fn query_within(
        &self,
        sql: &'static str,
        parameters: Parameters<'_>,
        limit: Duration,
    ) -> Result<Vec<Row>, Error> {
        let work = async {
            if self.pooled {
                return self.query_pooled(sql, parameters).await;
            }
            if self.plans_are_old() {
                self.client.batch_execute("discard plans").await?;
            }
            let statement = self.statement(sql, parameters).await?;
            let values: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|(value, _)| *value).collect();
            self.client.query(&statement, &values).await
        };
        self.bounded(work, limit).await
    }

    /// Runs one statement and gives each row to `take` as it arrives, without keeping them.
    pub(crate) async fn query_each(
        &self,
        sql: &'static str,
        parameters: Parameters<'_>,
        take: &mut (dyn FnMut(&Row) -> Result<(), Error> + Send),
    ) -> Result<(), Error> {
        if self.pooled {
            return self.query(sql, parameters).await?.iter().try_for_each(take);
        }
        let work = async {
            if self.plans_are_old() {
                self.client.batch_execute("discard plans").await?;
            }
            let statement = self.statement(sql, parameters).await?;
            let values = parameters.iter().map(|(value, _)| *value);
            let rows = self.client.query_raw(&statement, values).await?;
            let mut rows = std::pin::pin!(rows);
            let mut taken = Ok(());
            while let Some(row) = rows.next().await {
                let row = row?;
                // What follows is read and let go.
                if taken.is_ok() {
                    taken = take(&row);
                }
            }
            Ok(taken)
        };
        self.bounded(work, self.limit).await?
    }

    /// Runs a script of statements without parameters.
    pub(crate) async fn batch(&self, sql: &str) -> Result<(), Error> {
        self.bounded(self.client.batch_execute(sql), self.limit).await
    }

    /// Runs one statement without parameters and gives the first value of its first row.
    pub(crate) async fn simple(&self, sql: &str) -> Result<Option<String>, Error> {
        let said = self.bounded(self.client.simple_query(sql), self.limit).await?;
        Ok(said.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    }

    async fn query_pooled(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let _turn = self.turn.lock().await;
        self.client.batch_execute(SETTINGS_LOCAL).await?;
        if self.is_bound {
            self.client.batch_execute(&bounds("local ", self.limit)).await?;
        }
        let rows = self.client.query_typed(sql, parameters).await;
        let end = self
            .client
            .batch_execute(if rows.is_ok() { "commit" } else { "rollback" })
            .await;
        let rows = rows?;
        end?;
        Ok(rows)
    }

    /// To be asked before each statement. True once for each time that they have lasted.
    fn plans_are_old(&self) -> bool {
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        planned.are_old(Instant::now())
    }

    async fn statement(
        &self,
        sql: &'static str,
        parameters: Parameters<'_>,
    ) -> Result<Statement, tokio_postgres::Error> {
        let known = self
            .statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(sql)
            .cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let types: Vec<Type> = parameters.iter().map(|(_, kind)| kind.clone()).collect();
        let statement = self.client.prepare_typed(sql, &types).await?;
        self.statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(sql, statement.clone());
        Ok(statement)
    }

    pub(super) async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
        limit: Duration,
    ) -> Result<T, Error> {
        match tokio::time::timeout(limit, work).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(translate(&error)),
            Err(_) => {
                self.pump.abort();
                Err(Error::new(
                    Kind::Timeout,
                    format!("no answer from Postgres within {limit:?}"),
                ))
            }
        }
    }
}

/// A process that was stopped must not keep the doorbell's lock for ever: the server ends its session, long after a running one would have
/// asked something. What it is told meanwhile does not count as that.
fn listening(channel: &str, silent: Duration) -> String {
    let most = SILENT_AT_LEAST.max(silent * SILENT_TIMES).as_millis();
    format!("set idle_session_timeout = '{most}ms'; listen {channel}; notify {channel}")
}

/// A tenth less than this side waits for an answer; half of that for a lock.
fn bounds(local: &str, limit: Duration) -> String {
    let most = limit.as_millis() * 9 / 10;
    format!(
        "set {local}statement_timeout = '{most}ms'; set {local}lock_timeout = '{}ms'; set {local}client_connection_check_interval = '1s'",
        most / 2
    )
}

async fn listen(mut messages: Messages, ring: mpsc::Sender<String>, doubtful: Arc<AtomicBool>) {
    while let Some(Ok(message)) = messages.next().await {
        match message {
            // A full channel means a look is due anyway.
            AsyncMessage::Notification(notification) => {
                drop(ring.try_send(notification.channel().to_owned()))
            }
            AsyncMessage::Notice(notice) if notice.code().code().starts_with("01") => {
                tracing::info!(
                    code = notice.code().code(),
                    message = notice.message(),
                    "Postgres warns"
                );
                doubtful.store(true, Ordering::SeqCst);
            }
            _ => {}
        }
    }
}

/// The server's own words, without the values that a detail may quote.
fn told(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{} (SQLSTATE {})", said.message(), said.code().code()),
        None => {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(error);
            while let Some(inner) = cause {
                text = format!("{text}: {inner}");
                cause = inner.source();
            }
            text
        }
    }
}

fn translate(error: &tokio_postgres::Error) -> Error {
    let Some(said) = error.as_db_error() else {
        return Error::with_source(Kind::Connection, "lost the connection to Postgres", told(error));
    };
    let kind = match said.code().code() {
        // It says it in many ways, depending on what it was asked first.
        "25006" => {
            let what = "POSTGRES-IS-READ-ONLY: the server takes no writes: it is a standby, or default_transaction_read_only is on";
            return Error::with_source(Kind::ReadOnly, what, told(error));
        }
        "23505" => Kind::Superseded,
        "OB428" => Kind::LayoutDue,
        // Not null, check, exclusion: of the row itself, whoever writes it.
        "23502" | "23514" | "23P01" => Kind::Constraint,
        // Somebody's lock was waited for, or somebody cancelled.
        "55P03" | "57014" => Kind::Timeout,
        "42883" | "42P01" | "42703" => Kind::Refused,
        code if code.starts_with("53") => Kind::Resources,
        code if code.starts_with("57P") || code.starts_with("08") => Kind::Connection,
        _ => Kind::Statement,
    };
    Error::with_source(kind, "Postgres refused a statement", told(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_polls_seldom_is_not_ended_between_two_polls() {
        for (slow_poll, ended_after) in [(5, "60000ms"), (120, "1440000ms"), (300, "3600000ms")] {
            let said = listening("outbox", Duration::from_secs(slow_poll));
            let expected =
                format!("set idle_session_timeout = '{ended_after}'; listen outbox; notify outbox");
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn plans_last_ten_seconds_at_work_and_a_minute_at_rest() {
        let begin = Instant::now();
        let mut planned = Planned {
            at: begin,
            statements: 0,
        };
        let seconds = |seconds: u64| begin + Duration::from_secs(seconds);
        assert!(!planned.are_old(seconds(30)));
        assert!(planned.are_old(seconds(60)));
        for _ in 0..AT_WORK {
            assert!(!planned.are_old(seconds(69)), "a few statements are not work");
        }
        assert!(!planned.are_old(seconds(69)));
        assert!(planned.are_old(seconds(70)));
        assert!(!planned.are_old(seconds(71)), "counted anew");
    }
}
