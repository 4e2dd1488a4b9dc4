//! The database's side: events and progress in one transaction per batch.

use outbox_core::append::{self, ErrorKind, Limits, NewEvent};
use outbox_core::verdict::Verdict;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, Row};

use super::Error;
use super::arguments::{BadLines, Plan};
use super::batch::Line;

const CREATE: &str = include_str!("sql/create.sql");
const BEGIN: &str = include_str!("sql/begin.sql");
const HOLD: &str = include_str!("sql/hold.sql");
const MOVE: &str = include_str!("sql/move.sql");

/// How far an import is, and what it has seen up to there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) records: u64,
    pub(super) digest: Vec<u8>,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Landed {
    pub(super) records: u64,
    pub(super) events: u64,
    /// Lines that are no events, and why.
    pub(super) bad: Vec<(u64, String)>,
    /// The last of them ends the import.
    pub(super) ends: bool,
}

/// A connection to the outbox, for one import.
pub(super) struct Log {
    connection: PgConnection,
    name: String,
    limits: Limits,
    bad_lines: BadLines,
}

impl Log {
    /// Registers the import or finds it again.
    pub(super) async fn open(url: &str, plan: &Plan) -> Result<(Self, Position), Error> {
        let options: PgConnectOptions = url.parse()?;
        let options = options
            .application_name("outbox-import")
            .options([("statement_timeout", "120s")]);
        let mut connection = PgConnection::connect_with(&options).await?;
        create(&mut connection).await?;
        let limit: i32 = sqlx::query_scalar("select payload_limit_bytes from outbox.settings")
            .fetch_one(&mut connection)
            .await?;
        let mapping = plan.mapping.to_string();
        let row = sqlx::query(BEGIN)
            .bind(&plan.name)
            .bind(&mapping)
            .fetch_one(&mut connection)
            .await?;
        let begun_with: String = row.try_get("mapping")?;
        if begun_with != mapping {
            return Err(Error::Refused(format!(
                "{} was begun with other options ({begun_with}) than these ({mapping}). Use those, or import it once \
                 more under another --name",
                plan.name
            )));
        }
        let records: i64 = row.try_get("records")?;
        let done = Position {
            records: records.unsigned_abs(),
            digest: row.try_get("digest")?,
        };
        let limits = Limits {
            payload_bytes_max: limit.unsigned_abs() as usize,
            ..Limits::default()
        };
        Ok((
            Self {
                connection,
                name: plan.name.clone(),
                limits,
                bad_lines: plan.bad_lines,
            },
            done,
        ))
    }

    /// Appends the events of these lines and moves the progress from `done`, in one transaction.
    pub(super) async fn write(&mut self, done: &Position, lines: &[Line]) -> Result<Landed, Error> {
        let mut transaction = self.connection.begin().await?;
        let records: i64 = sqlx::query_scalar(HOLD)
            .bind(&self.name)
            .fetch_one(&mut *transaction)
            .await?;
        if records.unsigned_abs() != done.records {
            return Err(Error::Refused(format!(
                "another run of {} is at work: it moved from record {} to {records}",
                self.name, done.records
            )));
        }
        let landed = match append_all(&mut transaction, lines, &self.limits, self.bad_lines).await? {
            Some(landed) => landed,
            None => append_one_by_one(&mut transaction, lines, &self.limits, self.bad_lines).await?,
        };
        // A line that ends the import is not passed: mended, it is tried again.
        let passed = lines.len().min(landed.records as usize);
        if let Some(last) = lines[..passed].last() {
            let skipped = landed.bad.len() - usize::from(landed.ends);
            let signed = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
            sqlx::query(MOVE)
                .bind(&self.name)
                .bind(i64::try_from(last.after.records).unwrap_or(i64::MAX))
                .bind(&last.after.digest)
                .bind(i64::try_from(landed.events).unwrap_or(i64::MAX))
                .bind(signed(skipped))
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(landed)
    }

    pub(super) async fn close(self) -> Result<(), Error> {
        Ok(self.connection.close().await?)
    }
}

async fn create(connection: &mut PgConnection) -> Result<(), Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query("select pg_advisory_xact_lock(hashtext('outbox_import'))")
        .execute(&mut *transaction)
        .await?;
    let there: bool = sqlx::query_scalar("select to_regclass('outbox_import.progress') is not null")
        .fetch_one(&mut *transaction)
        .await?;
    if !there {
        sqlx::query("create schema if not exists outbox_import")
            .execute(&mut *transaction)
            .await?;
        sqlx::query(CREATE).execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}

/// All lines in one round trip; none when one of them is refused, with the transaction as it was.
async fn append_all(
    transaction: &mut PgConnection,
    lines: &[Line],
    limits: &Limits,
    bad_lines: BadLines,
) -> Result<Option<Landed>, Error> {
    let mut landed = Landed::default();
    let mut events: Vec<NewEvent> = Vec::new();
    for line in lines {
        match &line.events {
            Ok(of_line) => events.extend(of_line.iter().cloned()),
            Err(why) => landed.refuse(line, why.clone(), bad_lines),
        }
        if landed.ends {
            break;
        }
        landed.records += 1;
    }
    landed.events = events.len() as u64;
    let mut savepoint = transaction.begin().await?;
    match append::append_many_within(&mut savepoint, events, limits).await {
        Ok(_) => {
            savepoint.commit().await?;
            Ok(Some(landed))
        }
        Err(error) if error.verdict() == Verdict::Park => {
            savepoint.rollback().await?;
            Ok(None)
        }
        Err(error) => Err(Error::Append(error)),
    }
}

/// Each line in its own savepoint, to find those that are refused.
async fn append_one_by_one(
    transaction: &mut PgConnection,
    lines: &[Line],
    limits: &Limits,
    bad_lines: BadLines,
) -> Result<Landed, Error> {
    let mut landed = Landed::default();
    for line in lines {
        match &line.events {
            Err(why) => landed.refuse(line, why.clone(), bad_lines),
            Ok(events) => {
                let mut savepoint = transaction.begin().await?;
                match append::append_many_within(&mut savepoint, events.clone(), limits).await {
                    Ok(ids) => {
                        savepoint.commit().await?;
                        landed.events += ids.len() as u64;
                    }
                    Err(error) if error.verdict() == Verdict::Park => {
                        savepoint.rollback().await?;
                        landed.refuse(line, reason(&error), bad_lines);
                    }
                    Err(error) => return Err(Error::Append(error)),
                }
            }
        }
        if landed.ends {
            break;
        }
        landed.records += 1;
    }
    Ok(landed)
}

/// The rule that was broken, without the place in the call, which means nothing to who reads it.
fn reason(error: &append::Error) -> String {
    match &error.kind {
        ErrorKind::Refused(refusal) => refusal.to_string(),
        _ => error.to_string(),
    }
}

impl Landed {
    fn refuse(&mut self, line: &Line, why: String, bad_lines: BadLines) {
        self.bad.push((line.number, why));
        self.ends = bad_lines == BadLines::Fatal;
    }
}
