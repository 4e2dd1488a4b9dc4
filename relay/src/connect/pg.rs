//! Postgres: a dedicated socket for what listens and leads, a small pool for the rest.

use std::str::FromStr;
use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{Connection as _, PgConnection};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::target::{Target, target};
use super::{Error, KEEPALIVE, KEEPALIVE_RETRIES, UNACKNOWLEDGED, chain, tls};
use crate::config::kind::Words;
use crate::config::{Config, Postgres, Tls};

/// The half of a connection that must be polled.
pub type Connection =
    tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// A session that says nothing for this long belongs to a process that hangs: the server ends it, and with it its locks.
/// Twelve times the slow poll, and never so short that a busy machine is taken for a hanging one.
const IDLE_SLOW_POLLS: u32 = 12;
const IDLE_AT_LEAST: Duration = Duration::from_secs(60);

const POOLER_ADVICE: &str = "a pooler stands between: set postgres.listen = false (OUTBOX_POSTGRES_LISTEN=false), or connect \
                             past it";
const ADVICE: &str = "check DATABASE_URL, that the server runs and lets this user in, and the network between; \
                      `outbox-relay check` looks at each";

/// What a connection is for; shown to operators as `application_name` `outbox-relay/<role>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Cuts and reads batches, listens.
    Tail,
    /// Renews leases.
    Lease,
    /// Makes and drops pieces.
    Maintain,
    /// Applies events.
    Consume,
    /// Serves a person's command that changes something.
    Command,
    /// Serves a person's question; may not change anything.
    Report,
}

impl Words for Role {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("tail", Self::Tail),
        ("lease", Self::Lease),
        ("maintain", Self::Maintain),
        ("consume", Self::Consume),
        ("command", Self::Command),
        ("report", Self::Report),
    ];
}

/// Connects once. The caller polls the connection and owns what follows from its end.
///
/// # Errors
/// The server cannot be reached, does not let us in, or its certificate is not what was asked for.
pub async fn postgres(config: &Config, role: Role) -> Result<(Client, Connection), Error> {
    let refused = |what: String| Error {
        target: "Postgres".to_owned(),
        what,
        advice: ADVICE,
    };
    let found = target(&config.postgres).map_err(refused)?;
    let options = driver_options(config, &found, role).map_err(refused)?;
    let tls = tls::client(found.tls, found.root.as_deref()).map_err(refused)?;
    let named = |what: String| Error {
        target: format!("Postgres at {}", hosts(&options)),
        advice: advice_for(&what),
        what,
    };
    // Every host has the connect timeout; this one also bounds name resolution, TLS and authentication.
    let limit = config.postgres.connect_timeout * u32::try_from(options.get_hosts().len() + 1).unwrap_or(2);
    match tokio::time::timeout(limit, options.connect(MakeRustlsConnect::new(tls))).await {
        Ok(Ok(pair)) => Ok(pair),
        Ok(Err(error)) => Err(named(describe_postgres(&error))),
        Err(_) => Err(named(format!("no answer within {} s", limit.as_secs_f32()))),
    }
}

/// A pool for work that is not the tail: as many connections as a consumer needs at most. Connects when first used.
///
/// # Errors
/// The URL cannot be understood.
pub fn pool(config: &Config, role: Role) -> Result<PgPool, Error> {
    let (_, options) = pool_options(config, role)?;
    let size = u32::try_from(config.consume.connections).unwrap_or(u32::MAX);
    Ok(PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(config.postgres.connect_timeout)
        .connect_lazy_with(options))
}

/// One connection for a command, which asks one thing at a time.
///
/// # Errors
/// The server cannot be reached, does not let us in, or its certificate is not what was asked for.
pub async fn connection(config: &Config, role: Role) -> Result<PgConnection, Error> {
    let (target, options) = pool_options(config, role)?;
    let limit = config.postgres.connect_timeout;
    let open = async {
        let mut connection = PgConnection::connect_with(&options).await?;
        if let Some(begin) = begin_behind_pooler(config, role) {
            sqlx::raw_sql(begin).execute(&mut connection).await?;
        }
        Ok(connection)
    };
    let what = match tokio::time::timeout(limit, open).await {
        Ok(Ok(connection)) => return Ok(connection),
        Ok(Err(error)) => describe_sqlx(&error),
        Err(_) => format!("no answer within {} s", limit.as_secs_f32()),
    };
    Err(Error {
        target,
        advice: advice_for(&what),
        what,
    })
}

/// Where the database is, for people: host, port and name, never a user or a password. Empty if the URL cannot be understood.
#[must_use]
pub fn address(config: &Config) -> String {
    match pool_options(config, Role::Report) {
        Ok((target, options)) => {
            let place = target.trim_start_matches("Postgres at ");
            format!("{place}/{}", options.get_database().unwrap_or_default())
        }
        Err(_) => String::new(),
    }
}

/// The driver prepares a statement and runs it in two steps, and behind a pooler in transaction mode only a transaction has
/// both on one server connection. What reads is one; what changes something says itself where it ends.
fn begin_behind_pooler(config: &Config, role: Role) -> Option<&'static str> {
    (role == Role::Report && !config.postgres.listen).then_some("begin read only")
}

fn pool_options(config: &Config, role: Role) -> Result<(String, PgConnectOptions), Error> {
    let refused = |what: String| Error {
        target: "Postgres".to_owned(),
        what,
        advice: ADVICE,
    };
    let found = target(&config.postgres).map_err(refused)?;
    let options = sqlx_options(config, &found, role).map_err(refused)?;
    let host = match options.get_socket() {
        Some(path) => path.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    Ok((format!("Postgres at {host}"), options))
}

/// PgBouncer refuses a session setting at the start in these words.
fn advice_for(what: &str) -> &'static str {
    if what.contains("startup parameter") {
        POOLER_ADVICE
    } else {
        ADVICE
    }
}

fn driver_options(config: &Config, target: &Target, role: Role) -> Result<tokio_postgres::Config, String> {
    // The driver's error may quote a parameter, never the URL.
    let mut options =
        tokio_postgres::Config::from_str(&target.url).map_err(|error| describe_postgres(&error))?;
    if let Some(password) = &config.postgres.password {
        options.password(password.expose_secret());
    }
    options
        .application_name(application(role))
        .connect_timeout(config.postgres.connect_timeout)
        .keepalives(true)
        .keepalives_idle(KEEPALIVE)
        .keepalives_interval(KEEPALIVE)
        .keepalives_retries(KEEPALIVE_RETRIES)
        .tcp_user_timeout(UNACKNOWLEDGED)
        .ssl_mode(match target.tls {
            Tls::Disable => SslMode::Disable,
            Tls::Prefer => SslMode::Prefer,
            _ => SslMode::Require,
        });
    // Behind a pooler a session setting would stay with whoever gets the server connection next.
    if config.postgres.listen {
        let ours = session_settings(config, role)
            .into_iter()
            .map(|(name, value)| format!("-c {name}={value}"));
        let given = options.get_options().map(str::to_owned);
        let all: Vec<String> = given.into_iter().chain(ours).collect();
        options.options(all.join(" "));
    }
    Ok(options)
}

fn sqlx_options(config: &Config, target: &Target, role: Role) -> Result<PgConnectOptions, String> {
    let mut options = PgConnectOptions::from_str(&target.url).map_err(|error| describe_sqlx(&error))?;
    if let Some(password) = &config.postgres.password {
        options = options.password(password.expose_secret());
    }
    if let Some(root) = &target.root {
        options = options.ssl_root_cert(root);
    }
    options = options
        .application_name(&application(role))
        .ssl_mode(match target.tls {
            Tls::Disable => PgSslMode::Disable,
            Tls::Prefer => PgSslMode::Prefer,
            Tls::Require => PgSslMode::Require,
            Tls::VerifyCa => PgSslMode::VerifyCa,
            Tls::VerifyFull => PgSslMode::VerifyFull,
        });
    Ok(match config.postgres.listen {
        true => options.options(session_settings(config, role)),
        false => options.statement_cache_capacity(0).extra_float_digits(None),
    })
}

/// What the server shall hold to for a session, also when this process can no longer say so.
fn session_settings(config: &Config, role: Role) -> Vec<(&'static str, String)> {
    let ms = |duration: Duration| duration.as_millis().to_string();
    let Postgres { query_timeout, .. } = config.postgres;
    let mut settings = vec![
        ("tcp_keepalives_idle", KEEPALIVE.as_secs().to_string()),
        ("tcp_keepalives_interval", KEEPALIVE.as_secs().to_string()),
        ("tcp_keepalives_count", KEEPALIVE_RETRIES.to_string()),
        ("tcp_user_timeout", ms(UNACKNOWLEDGED)),
        // A plan of ours takes milliseconds; compiling it would take longer than running it.
        ("jit", "off".to_owned()),
    ];
    // Our statements name their schemas; what lies in the path of a login has no part in them. A handler's do as they like.
    if role != Role::Consume {
        settings.push(("search_path", "pg_catalog,pg_temp".to_owned()));
    }
    match role {
        Role::Tail | Role::Lease => {
            let idle = IDLE_AT_LEAST
                .max(config.tail.slow_poll * IDLE_SLOW_POLLS)
                .max(config.tail.lease_ttl * IDLE_SLOW_POLLS);
            settings.push(("synchronous_commit", "on".to_owned()));
            settings.push(("statement_timeout", ms(query_timeout)));
            settings.push(("idle_in_transaction_session_timeout", ms(query_timeout)));
            settings.push(("idle_session_timeout", ms(idle)));
        }
        Role::Consume => {
            settings.push((
                "idle_in_transaction_session_timeout",
                ms(config.consume.lease_ttl),
            ));
        }
        Role::Report => {
            settings.push(("default_transaction_read_only", "on".to_owned()));
            settings.push(("statement_timeout", ms(query_timeout)));
        }
        // Detaching a piece waits for readers; its own limits are set where it is done.
        Role::Maintain | Role::Command => {
            settings.push(("synchronous_commit", "on".to_owned()));
            settings.push(("idle_in_transaction_session_timeout", ms(query_timeout)));
        }
    }
    settings
}

fn application(role: Role) -> String {
    format!("outbox-relay/{}", role.word())
}

fn hosts(options: &tokio_postgres::Config) -> String {
    let ports = options.get_ports();
    let port = |n: usize| ports.get(n).or(ports.first()).copied().unwrap_or(5432);
    let shown = options
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(n, host)| match host {
            Host::Tcp(name) => format!("{name}:{}", port(n)),
            Host::Unix(path) => path.display().to_string(),
        });
    shown.collect::<Vec<_>>().join(", ")
}

/// What an error of the driver says, with the server's code and without statement or values.
#[must_use]
pub fn describe_postgres(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} (SQLSTATE {})", db.message(), db.code().code()),
        None => chain(error),
    }
}

/// What an error of the pool says, with the server's code and without statement or values.
#[must_use]
pub fn describe_sqlx(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(db) => format!("{} (SQLSTATE {})", db.message(), db.code().unwrap_or_default()),
        None => chain(error),
    }
}
