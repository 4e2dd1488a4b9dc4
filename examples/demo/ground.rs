//! The servers and databases of the demo: private ones, or borrowed ones that are emptied afterwards.

use std::time::{Duration, Instant};

use url::Url;
use xtask::servers::{Kind, Permission, Postgres, Redis, ensure};

use super::{TOPIC_TO_TRY, claim};
use crate::Result;
use crate::backstage::{create_database, with_database};

/// How long Redis stays away when it is restarted: long enough that everybody notices.
const REDIS_PAUSE: Duration = Duration::from_secs(1);

/// Where everything happens.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) shop: String,
    pub(super) stock: String,
    pub(super) loyalty: String,
    pub(super) redis: String,
    own_postgres: Option<Postgres>,
    own_redis: Option<Redis>,
    /// What of a borrowed Postgres is ours by now.
    claim: Option<claim::Claim>,
    /// Whether the streams on a borrowed Redis are ours: it was found without them.
    redis_claimed: bool,
}

impl Ground {
    /// Starts what was not given.
    pub(super) fn choose() -> Result<Self> {
        let given = |variable: &str| std::env::var(variable).ok().filter(|url| !url.is_empty());
        let (database_url, redis_url) = (given("DATABASE_URL"), given("REDIS_URL"));
        let missing: Vec<Kind> = [(&database_url, Kind::Postgres), (&redis_url, Kind::Redis)]
            .into_iter()
            .filter(|(url, _)| url.is_none())
            .map(|(_, kind)| kind)
            .collect();
        ensure(&missing, Permission::Install)?;
        // Real commits: a demo without fsync would be faster than the truth.
        let own_postgres = match &database_url {
            None => Some(Postgres::options().fsync(true).start()?),
            Some(_) => None,
        };
        let own_redis = match &redis_url {
            None => Some(Redis::options().durable().start()?),
            Some(_) => None,
        };
        let shop = match (&own_postgres, database_url) {
            (Some(server), _) => server.url("shop"),
            (None, url) => url.unwrap_or_default(),
        };
        let prefix = if own_postgres.is_some() {
            String::new()
        } else {
            format!("{}_", database_of(&shop)?)
        };
        Ok(Self {
            stock: with_database(&shop, &format!("{prefix}stock"))?,
            loyalty: with_database(&shop, &format!("{prefix}loyalty"))?,
            shop,
            redis: match (&own_redis, redis_url) {
                (Some(server), _) => server.url(0),
                (None, url) => url.unwrap_or_default(),
            },
            own_postgres,
            own_redis,
            claim: None,
            redis_claimed: false,
        })
    }

    /// Makes the databases. What is in use is refused before anything is touched.
    pub(super) async fn prepare(&mut self) -> Result {
        let (stock, loyalty) = (database_of(&self.stock)?, database_of(&self.loyalty)?);
        match &self.own_postgres {
            Some(server) => create_database(&server.url("postgres"), "shop").await?,
            None => self.claim = Some(claim::Claim::of(&self.shop, &[&stock, &loyalty]).await?),
        }
        if self.own_redis.is_none() {
            claim::refuse_used_redis(&self.redis).await?;
            self.redis_claimed = true;
        }
        create_database(&self.shop, &stock).await?;
        create_database(&self.shop, &loyalty).await
    }

    /// Kills Redis and starts it again on what it wrote to disk; says how long it was away. None when it is not ours.
    pub(super) async fn restart_redis(&mut self) -> Result<Option<Duration>> {
        let Some(server) = &mut self.own_redis else {
            return Ok(None);
        };
        let begun = Instant::now();
        tokio::task::block_in_place(|| server.kill())?;
        tokio::time::sleep(REDIS_PAUSE).await;
        tokio::task::block_in_place(|| server.start_again())?;
        Ok(Some(begun.elapsed()))
    }

    /// True when Redis may be restarted.
    pub(super) fn has_own_redis(&self) -> bool {
        self.own_redis.is_some()
    }

    /// What it is, in words.
    pub(super) fn describe(&self) -> String {
        let postgres = match &self.own_postgres {
            Some(server) => format!("a private Postgres on port {}", server.port()),
            None => "the Postgres of DATABASE_URL".to_owned(),
        };
        let redis = match &self.own_redis {
            Some(server) => format!("a private Redis on port {}, append-only file on", server.port()),
            None => "the Redis of REDIS_URL, which is not restarted".to_owned(),
        };
        format!("{postgres}; {redis}")
    }

    /// Lines to try while it is left running. A given URL may hold a password: its variable is named instead.
    pub(super) fn lines_to_try(&self) -> Vec<String> {
        let psql = match &self.own_postgres {
            Some(_) => format!("psql {}", self.shop),
            None => "psql \"$DATABASE_URL\"".to_owned(),
        };
        let redis = match &self.own_redis {
            Some(server) => format!("redis-cli -p {}", server.port()),
            None => "redis-cli -u \"$REDIS_URL\"".to_owned(),
        };
        let mut lines = vec![
            format!("{psql} -x -c 'select * from outbox_ops.summary'"),
            format!("{psql} -c 'select instance, state, leases from outbox_ops.relays'"),
            format!("{redis} xrevrange outbox:orders + - count 1"),
            format!(
                r#"{psql} -c "select outbox.append('{TOPIC_TO_TRY}', '{{\"to\": \"you\"}}', key => 'you')""#
            ),
            format!("{redis} xrange outbox:{TOPIC_TO_TRY} - +"),
        ];
        if self.own_postgres.is_some() {
            lines.push(format!("psql {} -c 'select * from stock.items'", self.stock));
            lines.push(format!(
                "psql {} -c 'select * from loyalty.accounts order by points desc limit 5'",
                self.loyalty
            ));
        }
        lines
    }

    /// Removes what was made on borrowed servers, and nothing of what was refused; private ones go with everything they
    /// have.
    pub(super) async fn leave(self) -> Result {
        if self.redis_claimed {
            claim::empty_redis(&self.redis).await?;
        }
        if let Some(claim) = self.claim {
            claim.give_up(&self.shop).await?;
        }
        Ok(())
    }
}

/// The database of a URL.
fn database_of(url: &str) -> Result<String> {
    let name = Url::parse(url)?.path().trim_start_matches('/').to_owned();
    if name.is_empty() {
        return Err(
            "DATABASE_URL must name a database, such as postgres://user@host/demo: an empty one".into(),
        );
    }
    Ok(name)
}
