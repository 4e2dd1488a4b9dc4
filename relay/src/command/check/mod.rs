//! `outbox-relay check`: is everything as it must be? Exit code 3 on findings, 4 when publishing would do harm.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use outbox_core::ops::check::{self, Check, LogFacts, Severity};
use outbox_core::ops::{self, Halves, View};
use outbox_core::tail::StreamId;
use outbox_migrations::Set;
use sqlx::{Connection as _, PgConnection};

use self::sink::redis;
use super::within;
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::output::Output;

mod sink;

/// What one end told, for comparing it with the other.
#[derive(Default)]
struct Seen {
    /// Seconds that its clock is ahead of ours.
    clock_offset: Option<f64>,
    log: Option<LogFacts>,
    streams: Vec<StreamId>,
}

/// Looks at both servers and reports.
///
/// # Errors
/// Standard output was closed.
pub async fn run(config: &Config, output: Output) -> Result<Exit, Failure> {
    let mut checks = Vec::new();
    let seen = match within(config, "Postgres", postgres(config, &mut checks)).await {
        Ok(seen) => seen,
        Err(failure) => {
            checks.push(unreachable("postgres.reachable", &failure));
            Seen::default()
        }
    };
    let redis_offset = match within(config, "Redis", redis(config, &seen, &mut checks)).await {
        Ok(offset) => offset,
        Err(failure) => {
            checks.push(unreachable("redis.reachable", &failure));
            None
        }
    };
    checks.push(check::clocks(seen.clock_offset, redis_offset));
    output.write(&checks, |checks| text(checks))?;
    Ok(match check::worst(&checks) {
        None => Exit::Success,
        Some(Severity::Finding) => Exit::Degraded,
        Some(Severity::Refusal) => Exit::Refused,
    })
}

fn unreachable(name: &'static str, failure: &Failure) -> Check {
    Check::found(
        name,
        failure.to_string(),
        "nothing moves, and the other checks of it could not be made",
        "mend this first",
    )
}

async fn postgres(config: &Config, checks: &mut Vec<Check>) -> Result<Seen, Failure> {
    let mut connection = connect::connection(config, Role::Report).await?;
    let before = now();
    let server = ops::server_facts(&mut connection).await?;
    let clock_offset = Some(server.clock - (before + now()) / 2.0);
    checks.extend(check::server(&server));
    let halves = ops::halves(&mut connection).await?;
    schemas(&mut connection, halves, checks).await;
    let mut seen = Seen {
        clock_offset,
        ..Seen::default()
    };
    if halves.log {
        match ops::log_facts(&mut connection).await {
            Ok(log) => {
                checks.extend(check::log(&server, &log));
                refusal(&mut connection, checks).await;
                match ops::streams(&mut connection).await {
                    Ok(streams) => (seen.streams, seen.log) = (streams, Some(log)),
                    Err(error) => checks.push(Check::found(
                        "log.marks",
                        error.to_string(),
                        "whether the streams are of this database is not known",
                        error.advice(),
                    )),
                }
            }
            Err(error) => checks.push(Check::found(
                "log.role",
                error.to_string(),
                "the log cannot be checked",
                error.advice(),
            )),
        }
    }
    if halves.inbox {
        checks.push(dead_letters(&mut connection).await);
    }
    connection.close().await?;
    if config.postgres.listen && !server.in_recovery {
        checks.push(hearing(config).await?);
    }
    Ok(seen)
}

/// A consumer's own database has only the inbox; anything else needs the log.
async fn schemas(connection: &mut PgConnection, halves: Halves, checks: &mut Vec<Check>) {
    let wanted = [
        (Set::Log, "schema.log", halves.log || !halves.inbox),
        (Set::Inbox, "schema.inbox", halves.inbox),
    ];
    for (set, name, _) in wanted.into_iter().filter(|(_, _, wanted)| *wanted) {
        checks.push(match outbox_migrations::status(connection, set).await {
            Ok(status) => check::schema(name, &status),
            Err(error) if error.is_refusal() => Check::refused(
                name,
                error.to_string(),
                "the schema is not the one that this binary knows",
                error.advice(),
            ),
            Err(error) => Check::found(
                name,
                error.to_string(),
                "which migrations are applied is not known",
                error.advice(),
            ),
        });
    }
}

/// What a relay refused stands, also when nothing at the sink tells of it any more. A schema of an older version has none, which is said
/// where the versions are.
async fn refusal(connection: &mut PgConnection, checks: &mut Vec<Check>) {
    if let Ok(Some((code, said))) = ops::open_refusal(connection).await {
        checks.push(Check::refused(
            "log.refusal",
            format!("{code}: {said}"),
            "no relay of this database leads before a person has decided",
            "outbox-relay recover inspect, then recover apply (docs/recovering.md)",
        ));
    }
}

/// What consumers gave up waits for a person, and later events of its keys wait with it.
async fn dead_letters(connection: &mut PgConnection) -> Check {
    match ops::view(connection, View::DeadLetters).await {
        Ok(groups) => check::dead_letters(&groups),
        Err(error) => Check::found(
            "consumers.dead_letters",
            error.to_string(),
            "what consumers gave up is not known",
            error.advice(),
        ),
    }
}

async fn hearing(config: &Config) -> Result<Check, Failure> {
    const NAME: &str = "postgres.notifications";
    Ok(match connect::notifications_arrive(config).await? {
        true => Check::passed(NAME, "arrive on an idle connection"),
        false => Check::found(
            NAME,
            "do not arrive on an idle connection",
            "a pooler in transaction mode stands between: session settings and locks would stay with strangers",
            "set postgres.listen = false, or connect past the pooler",
        ),
    })
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs_f64()
}

fn text(checks: &[Check]) -> String {
    let line = |check: &Check| match &check.finding {
        None => format!("ok       {}: {}\n", check.name, check.seen),
        Some(finding) => {
            let word = if finding.severity == Severity::Refusal {
                "REFUSED"
            } else {
                "FINDING"
            };
            format!(
                "{word}  {}: {}\n         it means: {}\n         to do: {}\n",
                check.name, check.seen, finding.means, finding.advice
            )
        }
    };
    checks.iter().map(line).collect()
}
