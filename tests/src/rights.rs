//! What a world looks back at when it ends: whether Redis refused anything that a process under test asked of it, and whether one
//! connected to Postgres as superuser.
//!
//! A refusal counts although the process went on: what is asked only now and then, and left out where it is refused, would be seen by
//! no assertion otherwise. Users that a test made itself, to see what is refused, do not count.
//!
//! Authoritative are the servers: `ACL LOG` of Redis, and the connections in the log of a Postgres of the test's own. Redis forgets
//! when it restarts. Deliberately absent: what a server says that no longer answers.

use std::collections::HashMap;
use std::path::Path;

use redis::aio::MultiplexedConnection;

use crate::access;
use crate::database::finish;
use crate::world::{REDIS_LIMIT, connect};
use crate::{Failure, Result, World};

/// What these connections do is never a superuser's; a command may be `migrate`.
const NEVER_SUPERUSER: [&str; 5] = ["tail", "lease", "maintain", "consume", "report"];

/// More than Redis keeps.
const ALL: u32 = 1_000;

impl World {
    /// Whether Redis refused nothing of what was asked by the users of the documentation, and its own Postgres let no part of the
    /// relay in as superuser.
    ///
    /// # Errors
    /// When one of them did, in words. A server that does not answer any more says nothing.
    pub fn rights_were_kept(&self) -> Result {
        let (url, database) = (self.redis_url.clone(), self.redis_database);
        let asked = finish(REDIS_LIMIT, async move {
            refused(&mut connect(&url).await?, database).await
        });
        let mut broken = asked.unwrap_or_else(|failure| {
            eprintln!("what Redis refused is not known: {failure}");
            Vec::new()
        });
        if let Some(own) = &self.own
            && !self.superusers_are_meant
        {
            broken.extend(superusers(&own.postgres.log_path())?);
        }
        match broken.is_empty() {
            true => Ok(()),
            false => Err(Failure::new(format!(
                "least privilege (docs/testing.md): {}",
                broken.join("; ")
            ))),
        }
    }
}

/// What Redis refused the users of the documentation, in words; in one of its databases or, without a number, in all of them.
async fn refused(redis: &mut MultiplexedConnection, database: Option<u32>) -> Result<Vec<String>> {
    let entries: Vec<HashMap<String, redis::Value>> =
        redis::cmd("ACL").arg("LOG").arg(ALL).query_async(redis).await?;
    let mut found = Vec::new();
    for entry in entries {
        let word = |name: &str| -> Result<String> {
            let value = entry
                .get(name)
                .ok_or_else(|| Failure::new(format!("ACL LOG has no `{name}`")))?;
            Ok(redis::from_redis_value(value.clone())?)
        };
        let (user, client) = (word("username")?, word("client-info")?);
        let is_here =
            database.is_none_or(|number| client.split(' ').any(|part| part == format!("db={number}")));
        if is_here && access::names().contains(&user) && word("reason")? != "auth" {
            found.push(format!(
                "{user} may not use {} `{}`",
                word("reason")?,
                word("object")?
            ));
        }
    }
    Ok(found)
}

/// The processes that this server let in as superuser, as its log names them.
fn superusers(log: &Path) -> Result<Vec<String>> {
    let log = std::fs::read_to_string(log)?;
    let is_wrong = |line: &&str| {
        line.contains("connection authorized: user=postgres ")
            && NEVER_SUPERUSER
                .iter()
                .any(|role| line.contains(&format!("application_name=outbox-relay/{role}")))
    };
    Ok(log.lines().filter(is_wrong).map(str::to_owned).collect())
}
