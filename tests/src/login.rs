//! As whom each part of a test connects: what is under test has a login with the rights of its work and nothing else, at both
//! servers; the test itself, which prepares, harms and probes, is the superuser of both.
//!
//! The login follows from the command line, where processes are started: the address of a superuser in its settings becomes that of
//! the login. Whoever names a login of its own in the address, or a password beside it, is left alone; who must be more says so
//! (`login`).
//!
//! Roles belong to the cluster: they are made wherever the harness migrates a database. Users of Redis are lines of its
//! configuration ([`equipped`]), so that they are there after each restart; what they may do is read out of `docs/operating.md`.

use sqlx::{AssertSqlSafe, Executor, PgConnection};
use xtask::servers::RedisOptions;

use crate::Result;
use crate::access;

/// Whose members may take the owner's role and have none of its rights otherwise.
const UPKEEP: &str = "test_upkeep";

/// The superuser in the address of a database of a test.
const SUPERUSER: &str = "//postgres@";

/// A login of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// The relay. It has no right of the owner's of itself, and takes the owner's role for upkeep.
    Relay,
    /// A consumer; what handlers write to is the service's, not the library's.
    Consumer,
    /// A service that consumes, appends, and reads what it stored.
    Service,
    /// Who appends.
    Producer,
    /// A person who decides about consumers.
    Operator,
    /// A person who sets a consumer back, to what the log still has too.
    Rebuilder,
    /// A person who looks.
    Observer,
    /// A person who looks, at what handlers said too.
    OnCall,
    /// A person who decides about topics, and what is published after a database went back.
    Maintainer,
    /// The superuser of both servers.
    Superuser,
}

impl Login {
    const OF_THEIR_OWN: [Self; 9] = [
        Self::Relay,
        Self::Consumer,
        Self::Service,
        Self::Producer,
        Self::Operator,
        Self::Rebuilder,
        Self::Observer,
        Self::OnCall,
        Self::Maintainer,
    ];

    /// Who calls the binary with these arguments; options may stand before the command. Who makes the schema, and nobody else, is the
    /// superuser.
    #[must_use]
    pub fn of_command(arguments: &[&str]) -> Self {
        match arguments {
            [option, rest @ ..] if option.starts_with('-') && option.contains('=') => Self::of_command(rest),
            [option, _, rest @ ..] if option.starts_with('-') => Self::of_command(rest),
            ["migrate" | "demo", ..] => Self::Superuser,
            ["run" | "check", ..] => Self::Relay,
            ["consumer", "seek", ..] => Self::Rebuilder,
            ["consume", ..] => Self::Consumer,
            ["stream", "archive", ..] => Self::Maintainer,
            ["stream", ..] => Self::Service,
            ["trace", ..] => Self::OnCall,
            ["status", ..] | ["consumer" | "projection", "ls" | "show", ..] => Self::Observer,
            ["consumer" | "projection" | "dead-letters" | "operation", ..] => Self::Operator,
            ["topic" | "recover", ..] => Self::Maintainer,
            _ => Self::Observer,
        }
    }

    /// The address of a database, as this login.
    #[must_use]
    pub fn database_url(self, url: &str) -> String {
        match self {
            Self::Superuser => url.to_owned(),
            login => url.replacen(SUPERUSER, &format!("//{}@", login.name()), 1),
        }
    }

    /// The address of a Redis, as the user for this login.
    #[must_use]
    pub fn redis_url(self, url: &str) -> String {
        let Some(user) = self.redis_user() else {
            return url.to_owned();
        };
        match url.split_once("://") {
            Some((scheme, rest)) if !rest.contains('@') => format!("{scheme}://{user}:{user}@{rest}"),
            _ => url.to_owned(),
        }
    }

    /// The settings that a process is started with, as this login wants them. Where one of them says with which user or password to
    /// connect, the test speaks for itself.
    pub(crate) fn settings(self, settings: &[(String, String)]) -> Vec<(String, String)> {
        let is_given = |prefix: &str| settings.iter().any(|(name, _)| name.starts_with(prefix));
        let redis_is_given = is_given("OUTBOX_REDIS_USERNAME") || is_given("OUTBOX_REDIS_PASSWORD");
        let postgres_is_given = is_given("OUTBOX_POSTGRES_PASSWORD");
        let mine = |(name, value): &(String, String)| {
            let value = match name.as_str() {
                "REDIS_URL" if !redis_is_given => self.redis_url(value),
                "DATABASE_URL" if !postgres_is_given => self.database_url(value),
                "CONSUMER_DATABASE_URLS" => {
                    let urls: Vec<String> = value.split(' ').map(|url| self.database_url(url)).collect();
                    urls.join(" ")
                }
                _ => value.clone(),
            };
            (name.clone(), value)
        };
        settings.iter().map(mine).collect()
    }

    /// Its name at Postgres.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Relay => "test_relay",
            Self::Consumer => "test_consumer",
            Self::Service => "test_service",
            Self::Producer => "test_producer",
            Self::Operator => "test_operator",
            Self::Rebuilder => "test_rebuilder",
            Self::Observer => "test_observer",
            Self::OnCall => "test_on_call",
            Self::Maintainer => "test_maintainer",
            Self::Superuser => "postgres",
        }
    }

    fn roles(self) -> &'static [&'static str] {
        match self {
            Self::Relay => &["outbox_relay", UPKEEP],
            Self::Consumer => &["outbox_consumer"],
            Self::Service => &[
                "outbox_consumer",
                "outbox_producer",
                "outbox_reader",
                "outbox_subscriber",
            ],
            Self::Producer => &["outbox_producer"],
            Self::Operator => &["outbox_operator"],
            Self::Rebuilder => &["outbox_operator", "outbox_relay"],
            Self::Observer => &["outbox_observer"],
            Self::OnCall => &["outbox_observer", "outbox_operator"],
            Self::Maintainer => &["outbox_maintainer"],
            Self::Superuser => &[],
        }
    }

    /// The line of the documentation that says what it may do at Redis; a producer never goes there.
    fn redis_user(self) -> Option<&'static str> {
        match self {
            Self::Relay => Some("relay"),
            Self::Consumer | Self::Service => Some("consumer"),
            Self::Operator | Self::Rebuilder => Some("operator"),
            Self::Observer | Self::OnCall => Some("observer"),
            Self::Maintainer => Some("recover"),
            Self::Producer | Self::Superuser => None,
        }
    }
}

/// The same Redis with the users that the documentation names.
#[must_use]
pub fn equipped(options: RedisOptions) -> RedisOptions {
    access::users()
        .into_iter()
        .fold(options, |options, user| options.set("user", user))
}

/// Makes the logins on a cluster, members of those roles that are there by now; may be repeated.
///
/// # Errors
/// When the database does not answer.
pub async fn make(connection: &mut PgConnection) -> Result {
    let mut body = format!(
        "if not exists (select from pg_roles where rolname = '{UPKEEP}') then create role {UPKEEP} nologin noinherit; end if;
         if exists (select from pg_roles where rolname = 'outbox_maintainer') then grant outbox_maintainer to {UPKEEP}; end if;\n"
    );
    for login in Login::OF_THEIR_OWN {
        let name = login.name();
        body += &format!(
            "if not exists (select from pg_roles where rolname = '{name}') then create role {name} login; end if;\n"
        );
        for role in login.roles() {
            body += &format!(
                "if exists (select from pg_roles where rolname = '{role}') and not pg_has_role('{name}', '{role}', 'member') then \
                 grant {role} to {name}; end if;\n"
            );
        }
    }
    let statement = format!("do $$ begin\n{body}end $$");
    connection.execute(AssertSqlSafe(statement)).await?;
    Ok(())
}

/// What a test makes in schema `public` of this database is the service's, which handlers and producers belong to.
///
/// # Errors
/// When the database does not answer.
pub async fn open_public(connection: &mut PgConnection) -> Result {
    let services = [Login::Consumer, Login::Service, Login::Producer]
        .map(Login::name)
        .join(", ");
    for objects in ["tables", "sequences"] {
        let statement =
            format!("alter default privileges in schema public grant all on {objects} to {services}");
        connection.execute(AssertSqlSafe(statement)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Login;

    #[test]
    fn only_the_address_of_a_superuser_becomes_that_of_a_login() {
        let consumer = Login::of_command(&["consume", "--group", "stock"]);
        assert_eq!(
            consumer.database_url("postgres://postgres@127.0.0.1:1/a"),
            "postgres://test_consumer@127.0.0.1:1/a"
        );
        assert_eq!(
            consumer.database_url("postgres://mine@127.0.0.1:1/a"),
            "postgres://mine@127.0.0.1:1/a"
        );
        assert_eq!(
            consumer.redis_url("rediss://localhost:1/2"),
            "rediss://consumer:consumer@localhost:1/2"
        );
        assert_eq!(consumer.redis_url("redis://a:b@h:1"), "redis://a:b@h:1");
        assert_eq!(
            Login::of_command(&["migrate"]).redis_url("redis://h:1"),
            "redis://h:1"
        );
        let behind_options = ["--output", "json", "--config=/a", "recover", "apply"];
        assert_eq!(Login::of_command(&behind_options), Login::Maintainer);
        assert_eq!(Login::of_command(&["nothing"]), Login::Observer);
    }
}
