//! A service that produces and consumes, to be set back.

use std::time::Duration;

use outbox_core::consume::Consumer;
use sqlx::{Executor, PgPool};
use system_tests::arrival::{arrived, backlog, stream_of};
use system_tests::patience::until;
use system_tests::producers::Producers;
use system_tests::{
    Answer, Invocation, Journal, Login, Relay, Result, Schema, Witness, Workload, World, stream,
};
use uuid::Uuid;

use super::bench::Member;

pub(super) const TOPIC: &str = "orders.placed";
pub(super) const GROUP: &str = "stock";
/// Far longer than anything here takes.
pub(super) const LIMIT: Duration = Duration::from_secs(120);

/// A service that produces and consumes: log and inbox in one database, a relay, and a table of effects.
pub(super) struct Service {
    pub(super) world: World,
    pub(super) pool: PgPool,
    /// What members connect with: no superuser\'s.
    members: PgPool,
    pub(super) relay: Relay,
    pub(super) journal: Journal,
}

impl Service {
    /// With so many events on the stream.
    pub(super) async fn new(events: i32) -> Result<Self> {
        let world = World::with_schema(Schema::Both).await?;
        let pool = world.pool().await?;
        pool.execute("create table effect (n bigint generated always as identity, id uuid)")
            .await?;
        let members = world.log().pool_of(Login::Consumer).await?;
        let mut relay = Relay::of(&world).start()?;
        relay.leads().await?;
        let journal = backlog(&world, &[TOPIC.to_owned()], 10, events / 10, 50).await?;
        arrived(&world, &[TOPIC.to_owned()], LIMIT).await?;
        Ok(Self {
            world,
            pool,
            members,
            relay,
            journal,
        })
    }

    /// A member that notes the id of each event, in the order of the stream.
    pub(super) fn member(&self) -> Result<Member> {
        Ok(Member::run(self.consumer()?))
    }

    /// It, before it runs.
    pub(super) fn consumer(&self) -> Result<Consumer> {
        let builder = Consumer::builder(GROUP)
            .database(self.members.clone())
            .redis(self.world.redis_url_of(Login::Consumer))
            .discovery(None)
            .concurrency(1)
            .lease(Duration::from_secs(2));
        let builder = builder.on(TOPIC, |tx, event| {
            Box::pin(async move {
                sqlx::query("insert into effect (id) values ($1::uuid)")
                    .bind(&event.id)
                    .execute(tx)
                    .await?;
                Ok(())
            })
        });
        Ok(builder.build()?)
    }

    pub(super) async fn trim(&self, left: u64) -> Result {
        let mut redis = self.world.redis().await?;
        let mut command = redis::cmd("XTRIM");
        command.arg(stream_of(TOPIC)).arg("MAXLEN").arg(left);
        Ok(command.query_async::<()>(&mut redis).await?)
    }

    pub(super) fn seek(&self, arguments: &[&str]) -> Result<Answer> {
        let mut line = vec![
            "consumer", "seek", "--group", GROUP, "--topic", TOPIC, "--reason", "rebuild", "--output", "json",
        ];
        line.extend(arguments);
        Invocation::of(&self.world, &line)?.ask()
    }

    pub(super) async fn count(&self) -> Result<u64> {
        let count: i64 = sqlx::query_scalar("select count(*) from effect")
            .fetch_one(&self.pool)
            .await?;
        Ok(count.unsigned_abs())
    }

    /// Waits until there are as many effects as events were committed.
    pub(super) async fn all_applied(&self) -> Result {
        let wait = until("every event applied", LIMIT, async || {
            let missing: bool = sqlx::query_scalar(
                "select exists (select from outbox.log where id not in (select id from effect))",
            )
            .fetch_one(&self.pool)
            .await?;
            Ok((!missing).then_some(()))
        });
        wait.await
    }

    /// Waits until the group has passed the last entry of the stream.
    pub(super) async fn all_passed(&self) -> Result {
        let mut redis = self.world.redis().await?;
        let last = stream::entries(&mut redis, &stream_of(TOPIC)).await?;
        let last = last.last().map(|entry| entry.id.to_string());
        until("everything passed", LIMIT, async || {
            let passed: Option<String> =
                sqlx::query_scalar("select passed_entry from outbox_ops.inbox where consumer = $1")
                    .bind(GROUP)
                    .fetch_optional(&self.pool)
                    .await?
                    .flatten();
            Ok((passed == last).then_some(()))
        })
        .await
    }

    /// What the witness says of the effects since then.
    pub(super) async fn judge(&self, journal: &Journal, after: i64) -> Result {
        let effects: Vec<Uuid> = sqlx::query_scalar("select id from effect where n > $1 order by n")
            .bind(after)
            .fetch_all(&self.pool)
            .await?;
        Witness::new(journal)
            .effects(GROUP, &[TOPIC], effects)
            .verdict()
            .clean()
    }

    pub(super) async fn preludes(&self) -> Result<Vec<String>> {
        let mut redis = self.world.redis().await?;
        Ok(redis::cmd("KEYS")
            .arg("*@prelude:*")
            .query_async(&mut redis)
            .await?)
    }

    pub(super) async fn writers(&self) -> Result<Producers> {
        let workload = Workload {
            topics: vec![TOPIC.to_owned()],
            hold: 0,
            pause: Duration::from_millis(5),
            ..Workload::default()
        };
        workload.start(self.world.log()).await
    }

    /// The number of the last effect.
    pub(super) async fn last(&self) -> Result<i64> {
        Ok(sqlx::query_scalar("select coalesce(max(n), 0) from effect")
            .fetch_one(&self.pool)
            .await?)
    }
}
