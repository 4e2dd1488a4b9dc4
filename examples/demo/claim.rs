//! Borrowed servers: what is in use is refused, what was made there is removed.

use outbox_core::publish::StreamName;
use outbox_core::tail::StreamId;

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

    /// Removes everything.
    pub(super) async fn give_up(self, shop: &str) -> Result {
        let mut connection = pg::open(shop).await?;
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

/// Refuses a Redis that has one of the demo's streams.
pub(super) async fn refuse_used_redis(url: &str) -> Result {
    let keys = keys();
    if redis::exist(url, &keys).await? {
        return Err(format!(
            "the Redis of REDIS_URL has one of {} already: in use, or left by a demo that was killed. Give the demo \
             another database of it, such as …/9, or delete these",
            keys.join(", ")
        )
        .into());
    }
    Ok(())
}

/// Deletes the demo's streams with their marks. Other topics that somebody tried meanwhile are theirs.
pub(super) async fn empty_redis(url: &str) -> Result {
    redis::delete(url, &keys()).await
}

fn keys() -> Vec<String> {
    let names = StreamName::new("outbox:", None);
    [crate::shop::TOPIC, super::TOPIC_TO_TRY]
        .iter()
        .map(|topic| StreamId::whole(*topic))
        .flat_map(|stream| [names.key(&stream), names.mark(&stream)])
        .collect()
}
