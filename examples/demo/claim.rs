//! Borrowed servers: what is in use is refused, what was made there is removed.

use super::{pg, redis};
use crate::Result;

/// What the demo makes on a borrowed Postgres.
#[derive(Debug)]
pub(super) struct Claim {
    databases: Vec<String>,
    /// Roles belong to the whole server; these were not there before.
    roles: Vec<String>,
}

impl Claim {
    /// Refuses a database that is in use, and databases that would be made but are there.
    pub(super) async fn of(shop: &str, databases: &[&str]) -> Result<Self> {
        let mut connection = pg::open(shop).await?;
        let found = pg::found_in_use(&mut connection, databases).await?;
        if !found.is_empty() {
            return Err(format!(
                "the server of DATABASE_URL has {} already: in use, or left by a demo that was killed. Give the demo an \
                 empty database, or drop these",
                found.join(", ")
            )
            .into());
        }
        let roles = pg::roles_to_be_made(&mut connection).await?;
        Ok(Self {
            databases: databases.iter().map(|name| (*name).to_owned()).collect(),
            roles,
        })
    }

    /// Removes everything, and the streams from `redis` when that is borrowed too.
    pub(super) async fn give_up(self, shop: &str, redis: Option<&str>) -> Result {
        let mut connection = pg::open(shop).await?;
        if let Some(redis) = redis {
            empty_redis(redis, &pg::topics(&mut connection).await?).await?;
        }
        pg::drop_everything(&mut connection, &self.databases).await?;
        for role in self.roles {
            // Another database of the server may have come to use it meanwhile.
            if let Err(error) = pg::drop_role(&mut connection, &role).await {
                eprintln!("the role {role}, which the demo made, stays: {error}");
            }
        }
        Ok(())
    }
}

/// Refuses a Redis that has the demo's stream.
pub(super) async fn refuse_used_redis(url: &str) -> Result {
    if redis::exist(url, &keys(crate::shop::TOPIC)).await? {
        return Err(format!(
            "the Redis of REDIS_URL has one of {} already: in use, or left by a demo that was killed. Give the demo \
             another database of it, such as …/9, or delete these",
            keys(crate::shop::TOPIC).join(", ")
        )
        .into());
    }
    Ok(())
}

/// Deletes the streams of these topics with their marks.
pub(super) async fn empty_redis(url: &str, topics: &[String]) -> Result {
    let keys: Vec<String> = topics.iter().flat_map(|topic| keys(topic)).collect();
    redis::delete(url, &keys).await
}

fn keys(topic: &str) -> [String; 2] {
    let names = outbox_core::publish::StreamName::new("outbox:", None);
    [names.key(topic), names.mark(topic)]
}
