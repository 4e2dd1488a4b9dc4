//! Two relays, two groups and what they did, on a Redis to be harmed.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sqlx::{AssertSqlSafe, PgConnection};
use system_tests::arrival::stream_of;
use system_tests::patience::until;
use system_tests::stream::{Entry, EntryId, entries};
use system_tests::{Crew, Failure, Journal, Readers, Relay, Result, Schema, Witness, World};
use uuid::Uuid;
use xtask::servers::{Redis, RedisOptions};

pub(crate) const LIMIT: Duration = Duration::from_secs(90);
pub(crate) const TOPIC: &str = "orders.placed";

/// A world, with a Redis of its own where that is killed or its files are harmed.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) own: Option<Redis>,
    pub(crate) redis_url: String,
    pub(crate) postgres: PgConnection,
    pub(crate) redis: MultiplexedConnection,
    readers: Readers,
    members: Vec<(&'static str, Relay)>,
}

impl Scene {
    pub(crate) async fn new(own: Option<RedisOptions>) -> Result<Self> {
        let world = World::with_schema(Schema::Both).await?;
        let postgres = world.connect().await?;
        let own = own.map(RedisOptions::start).transpose()?;
        let redis_url = own
            .as_ref()
            .map_or_else(|| world.redis_url().to_owned(), |own| own.url(0));
        let redis = connect(&redis_url).await?;
        Ok(Self {
            own,
            redis_url,
            postgres,
            redis,
            readers: Readers::new(world.log(), TOPIC).await?,
            members: Vec::new(),
            world,
        })
    }

    /// One relay that leads.
    pub(crate) async fn relay(&self) -> Result<Relay> {
        let mut relay = Relay::of(&self.world).set("REDIS_URL", &self.redis_url).start()?;
        relay.leads().await?;
        Ok(relay)
    }

    /// One that leads, and others that stand by.
    pub(crate) async fn crew(&self, count: usize) -> Result<Crew> {
        Crew::start(Relay::of(&self.world).set("REDIS_URL", &self.redis_url), count).await
    }

    /// Starts a member of a group whose effects are noted, in the order of their commits per key.
    pub(crate) async fn join(&mut self, group: &'static str) -> Result {
        let member = self.readers.join(group, &self.redis_url).await?;
        self.members.push((group, member));
        Ok(())
    }

    /// Ends the members of a group.
    pub(crate) async fn leave(&mut self, group: &str) -> Result {
        while let Some(at) = self.members.iter().position(|(of, _)| *of == group) {
            let (_, mut member) = self.members.remove(at);
            let status = member.terminate().await?;
            assert!(status.success(), "{status}; {}", member.log_tail());
        }
        Ok(())
    }

    /// The member of a group.
    pub(crate) fn member(&mut self, group: &str) -> &mut Relay {
        let member = self.members.iter_mut().find(|(of, _)| *of == group);
        &mut member.expect("it joined before").1
    }

    /// A new connection to Redis, after it was away.
    pub(crate) async fn reconnect(&mut self) -> Result {
        self.redis = connect(&self.redis_url).await?;
        Ok(())
    }

    pub(crate) async fn entries(&mut self) -> Result<Vec<Entry>> {
        entries(&mut self.redis, &stream_of(TOPIC)).await
    }

    /// Asks Redis one command.
    pub(crate) async fn ask(&mut self, words: &[&str]) -> Result {
        let (name, arguments) = words.split_first().expect("a command has a name");
        redis::cmd(name)
            .arg(arguments)
            .query_async::<redis::Value>(&mut self.redis)
            .await?;
        Ok(())
    }

    /// What a group did, once it did as much.
    pub(crate) async fn effects(&mut self, group: &str, count: usize) -> Result<Vec<Uuid>> {
        match self.readers.effects(group, count, LIMIT).await {
            Ok(ids) => Ok(ids),
            Err(failure) => Err(Failure::new(format!("{failure}; {}", self.said().await?))),
        }
    }

    /// What the views say, for whoever looks at a failure.
    async fn said(&mut self) -> Result<String> {
        let mut said = String::new();
        for view in ["holes", "reissues", "losses", "topics", "streams", "inbox"] {
            let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!(
                "select row_to_json(v)::text from outbox_ops.{view} v"
            )))
            .fetch_all(&mut self.postgres)
            .await?;
            said.push_str(&format!("\n{view}: {}", rows.join("\n  ")));
        }
        Ok(said)
    }

    pub(crate) async fn until(&mut self, condition: &'static str) -> Result {
        let postgres = &mut self.postgres;
        let seen = until(condition, LIMIT, async || {
            let is_so: Option<bool> = sqlx::query_scalar(condition)
                .fetch_optional(&mut *postgres)
                .await?
                .flatten();
            Ok((is_so == Some(true)).then_some(()))
        })
        .await;
        match seen {
            Ok(()) => Ok(()),
            Err(failure) => Err(Failure::new(format!("{failure}; {}", self.said().await?))),
        }
    }

    pub(crate) async fn value<T>(&mut self, question: &'static str) -> Result<T>
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        Ok(sqlx::query_scalar(question).fetch_one(&mut self.postgres).await?)
    }

    /// Everything that was committed had one effect in each group, in order; nothing is asked for any more; and from the last
    /// re-issue on, the stream is one chain without a repetition that has all it must have.
    pub(crate) async fn ends_well(&mut self, journal: &Journal, groups: &[&'static str]) -> Result {
        let committed = journal.committed().count();
        for group in groups {
            self.effects(group, committed).await?;
        }
        self.nothing_is_missed().await?;
        for group in groups {
            self.leave(group).await?;
        }
        // A second effect may come after the last first one.
        let mut witness = Witness::new(journal);
        for group in groups {
            witness = witness.effects(group, &[TOPIC], self.readers.effects_now(group).await?);
        }
        let verdict = witness.verdict();
        eprintln!("witness: {verdict}");
        verdict.clean()?;
        self.stream_is_whole(committed).await
    }

    /// Nothing is asked for any more, at either end, and every stream moves.
    pub(crate) async fn nothing_is_missed(&mut self) -> Result {
        let redis = &mut self.redis;
        until("nobody asks", LIMIT, async || {
            let asked: i64 = redis::cmd("HLEN")
                .arg("outbox:@holes")
                .query_async(&mut *redis)
                .await?;
            Ok((asked == 0).then_some(()))
        })
        .await?;
        self.until("select not exists (select from outbox_ops.holes) and not exists (select from outbox_ops.topics where state <> 'moving')")
            .await
    }

    async fn stream_is_whole(&mut self, committed: usize) -> Result {
        let found = self.entries().await?;
        let batch: i64 = self
            .value("select b.batch_id from outbox.reissue r join outbox.batch b on b.number = r.batch_number order by b.number desc limit 1")
            .await?;
        let begins = found
            .iter()
            .position(|entry| entry.id.0 >= batch.unsigned_abs())
            .ok_or_else(|| Failure::new("nothing was put out again"))?;
        let (before, again) = found.split_at(begins);
        assert!(
            again
                .windows(2)
                .all(|pair| pair[1].previous_id == Some(pair[0].id)),
            "behind the re-issue the stream is no chain"
        );
        let kept = again[0].previous_id.unwrap_or(EntryId(0, 0));
        let mut ids: Vec<Uuid> = again.iter().map(|entry| entry.event_id).collect();
        ids.sort_unstable();
        assert!(
            ids.windows(2).all(|pair| pair[0] != pair[1]),
            "repeated behind the re-issue"
        );
        // What was kept and not put out again stands before it.
        ids.extend(
            before
                .iter()
                .filter(|entry| entry.id <= kept)
                .map(|entry| entry.event_id),
        );
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), committed, "events on the stream");
        Ok(())
    }
}

async fn connect(url: &str) -> Result<MultiplexedConnection> {
    let config = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(10)))
        .set_response_timeout(Some(Duration::from_secs(10)));
    Ok(redis::Client::open(url)?
        .get_multiplexed_async_connection_with_config(&config)
        .await?)
}
