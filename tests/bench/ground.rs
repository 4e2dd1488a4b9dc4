//! What the runs share: servers that write to disk, and streams that a real relay filled once.

use std::time::Duration;

use sqlx::Connection;
use system_tests::patience::until;
use system_tests::{Database, Failure, Invocation, Relay, Result, Schema, World, stream};

use super::speed::servers;

const LIMIT: Duration = Duration::from_secs(120);
const PARTITIONS: [usize; 2] = [1, 8];

/// The servers, and how many events each topic has.
pub(crate) struct Ground {
    world: World,
    events: usize,
}

impl Ground {
    /// Starts the servers and publishes as many events on a topic of one partition and on one of eight.
    pub(crate) async fn prepare(events: usize) -> Result<Self> {
        let world = servers::start(&[]).await?;
        let ground = Self { world, events };
        let mut connection = ground.world.connect().await?;
        for partitions in PARTITIONS {
            let topic = Self::topic(partitions);
            let number = partitions.to_string();
            let answer =
                Invocation::of(&ground.world, &["topic", "set", topic, "--partitions", &number])?.ask()?;
            if answer.code != 0 {
                return Err(Failure::new(format!("topic set: {answer:?}")));
            }
            sqlx::query(
                "insert into outbox.log (retention, topic, key, id, source, type, data)
                 select 'standard', $1, 'key-' || n % 1000, outbox.new_event_id(), '/bench', $1,
                        json_build_object('number', n, 'filling', repeat('x', 200))
                 from generate_series(1, $2) n order by n",
            )
            .bind(topic)
            .bind(i64::try_from(events)?)
            .execute(&mut connection)
            .await?;
        }
        connection.close().await?;
        let mut relay = Relay::of(&ground.world).start()?;
        for partitions in PARTITIONS {
            ground.published(partitions).await?;
        }
        relay.terminate().await?;
        Ok(ground)
    }

    async fn published(&self, partitions: usize) -> Result {
        let mut redis = self.world.redis().await?;
        let topic = Self::topic(partitions);
        let streams: Vec<String> = match partitions {
            1 => vec![format!("outbox:{topic}")],
            _ => (0..partitions)
                .map(|number| format!("outbox:{topic}:{number}"))
                .collect(),
        };
        until("everything is published", LIMIT, async || {
            let mut entries = 0;
            for name in &streams {
                entries += stream::length(&mut redis, name).await?;
            }
            Ok((entries >= self.events as u64).then_some(()))
        })
        .await
    }

    pub(crate) fn topic(partitions: usize) -> &'static str {
        if partitions == 1 {
            "bench.one"
        } else {
            "bench.eight"
        }
    }

    /// A consumer's database, fresh.
    pub(crate) async fn database(&self) -> Result<Database> {
        self.world.another_database(Schema::Inbox).await
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    pub(crate) fn redis_url(&self) -> &str {
        self.world.redis_url()
    }

    pub(crate) fn events(&self) -> usize {
        self.events
    }
}
