//! Real input through the whole path: a topic of several partitions, the relay, a group of several members.

mod orders;

mod webhooks;

use std::time::Duration;

use outbox_core::append::{NewEvent, append_many};
use outbox_core::consume::{Builder, Consumer};
use sqlx::{Connection, Executor, PgConnection, PgPool};
use system_tests::{Database, Invocation, Login, Relay, Result, Schema, World};

/// Events of one transaction.
const TOGETHER: usize = 50;

/// Two databases, a stream per partition, a relay in between.
struct Path {
    pool: PgPool,
    /// What members connect with: no superuser's.
    members: PgPool,
    relay: Relay,
    _database: Database,
    // Last, so that it ends after what lives on it.
    world: World,
}

impl Path {
    /// `effects`: the tables of the consumer's handler.
    async fn open(topic: &str, partitions: u32, effects: &'static str) -> Result<Self> {
        let world = World::new().await?;
        let number = partitions.to_string();
        let answer = Invocation::of(&world, &["topic", "set", topic, "--partitions", &number])?.ask()?;
        assert_eq!(answer.code, 0, "{answer:?}");
        let database = world.another_database(Schema::Inbox).await?;
        let pool = database.pool().await?;
        pool.execute(effects).await?;
        let members = database.pool_of(Login::Consumer).await?;
        let mut relay = Relay::of(&world).start()?;
        relay.leads().await?;
        Ok(Self {
            pool,
            members,
            relay,
            _database: database,
            world,
        })
    }

    /// A member of the group, without a handler yet.
    fn describe(&self, group: &str) -> Builder {
        Consumer::builder(group)
            .database(self.members.clone())
            .redis(self.world.redis_url_of(Login::Consumer))
            .discovery(None)
            .lease(Duration::from_secs(1))
    }
}

/// Appends events in their order, some in each transaction.
async fn append(url: &str, events: impl IntoIterator<Item = NewEvent>) -> Result {
    let mut connection = PgConnection::connect(url).await?;
    let mut events = events.into_iter();
    loop {
        let together: Vec<NewEvent> = events.by_ref().take(TOGETHER).collect();
        if together.is_empty() {
            return Ok(connection.close().await?);
        }
        let mut transaction = connection.begin().await?;
        append_many(&mut transaction, together).await?;
        transaction.commit().await?;
    }
}
