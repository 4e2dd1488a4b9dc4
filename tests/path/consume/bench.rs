//! A consumer's database with a table of effects, a stream that the test writes itself, and members of a group.

use std::sync::LazyLock;
use std::time::Duration;

use futures_util::future::BoxFuture;
use outbox_core::consume::{Builder, Consumer, Error, HandlerResult, RetryPolicy};
use outbox_core::event::{EntryId, Event};
use redis::aio::MultiplexedConnection;
use serde_json::json;
use sqlx::postgres::PgListener;
use sqlx::{Executor, PgConnection, PgPool};
use system_tests::{Failure, Login, Result, Schema, World};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::time;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const TOPIC: &str = "orders.placed";
pub(crate) const STREAM: &str = "outbox:orders.placed";
pub(crate) const GROUP: &str = "stock";
/// Far longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// When the events of a test were recorded: at noon of a day that an inbox keeps, so many days before it.
pub(crate) fn recorded_before(days: i64) -> OffsetDateTime {
    static NOON: LazyLock<OffsetDateTime> = LazyLock::new(|| {
        OffsetDateTime::now_utc().replace_time(time!(12:00:00.123456)) - time::Duration::days(3)
    });
    *NOON - time::Duration::days(days)
}

/// A time as an event says it.
pub(crate) fn told(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).expect("a year of four digits")
}

/// The same of most events, as they say it.
pub(crate) fn recorded() -> String {
    told(recorded_before(0))
}

/// What a test of a consumer works on.
pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) pool: PgPool,
    /// What members connect with: no superuser's.
    members: PgPool,
    pub(crate) redis: MultiplexedConnection,
    listener: PgListener,
    /// Entries of [`Self::put_all`].
    length: u64,
}

/// A member at work.
pub(crate) struct Member {
    token: CancellationToken,
    task: JoinHandle<std::result::Result<(), Error>>,
}

/// What an event says.
#[derive(serde::Deserialize)]
pub(crate) struct Order {
    pub(crate) number: i64,
}

impl Bench {
    pub(crate) async fn new() -> Result<Self> {
        Self::with_schema(Schema::Inbox).await
    }

    pub(crate) async fn with_schema(schema: Schema) -> Result<Self> {
        let world = World::with_schema(schema).await?;
        let pool = world.pool().await?;
        // Where there is a log, handlers may append.
        let login = match schema {
            Schema::Both => Login::Service,
            _ => Login::Consumer,
        };
        // A notification comes with the commit, so what is waited for is what is really there.
        pool.execute(
            "create table effect (n bigint generated always as identity, key text, number bigint, epoch bigint, member text);
             create function tell() returns trigger language plpgsql as $$
                 begin perform pg_notify(tg_table_name, ''); return null; end $$;
             create trigger tell after insert on effect for each row execute function tell();
             create trigger tell after insert or update on outbox.dead_letter for each row execute function tell();
             create trigger tell after insert or update or delete on outbox.parked_event for each row execute function tell();
             create trigger tell after insert or update or delete on outbox.parked_lane for each row execute function tell();
             create trigger tell after insert or update on outbox.consumer_stream for each row execute function tell();
             create trigger tell after update on outbox.consumer_lease for each row execute function tell();",
        )
        .await?;
        let mut listener = PgListener::connect(world.database_url()).await?;
        listener
            .listen_all([
                "effect",
                "dead_letter",
                "parked_event",
                "parked_lane",
                "consumer_stream",
                "consumer_lease",
            ])
            .await?;
        let redis = world.redis().await?;
        let members = world.log().pool_of(login).await?;
        Ok(Self {
            world,
            pool,
            members,
            redis,
            listener,
            length: 0,
        })
    }

    /// A member of the group, with pauses and a lease that suit a test; without a handler yet.
    pub(crate) fn describe(&self) -> Builder {
        Consumer::builder(GROUP)
            .database(self.members.clone())
            .redis(self.world.redis_url_of(Login::Consumer))
            .discovery(None)
            .lease(Duration::from_secs(2))
            .retry(quick_retries())
    }

    /// A member that notes each order in table `effect`.
    pub(crate) fn start(&self) -> Result<Member> {
        Member::start(self.describe().on(TOPIC, note))
    }

    /// Puts the event `number` of a key on the stream.
    pub(crate) async fn put(&mut self, id: &str, previous: Option<&str>, key: &str, number: i64) -> Result {
        let event = event(previous, key, number);
        self.put_raw(id, "event", event.to_string().as_bytes()).await
    }

    /// Puts one event per key at the end of the chain `1-1`, `1-2`, …; each has its place as its number.
    pub(crate) async fn put_all(&mut self, keys: &[&str]) -> Result {
        for keys in keys.chunks(500) {
            let mut pipe = redis::pipe();
            for key in keys {
                let previous = match self.length {
                    0 => EntryId::MIN,
                    length => EntryId::new(1, length),
                };
                self.length += 1;
                let event = event(Some(&previous.to_string()), key, i64::try_from(self.length)?);
                let id = EntryId::new(1, self.length).to_string();
                pipe.cmd("XADD")
                    .arg(STREAM)
                    .arg(id)
                    .arg("event")
                    .arg(event.to_string())
                    .ignore();
            }
            pipe.query_async::<()>(&mut self.redis).await?;
        }
        Ok(())
    }

    /// Puts these events on the stream at one moment, as `1-n` behind `after` others: who reads one of them reads all.
    pub(crate) async fn put_together(&mut self, after: u64, events: Vec<serde_json::Value>) -> Result {
        let mut pipe = redis::pipe();
        pipe.atomic();
        for (n, mut event) in (after + 1..).zip(events) {
            let previous = if n == 1 {
                EntryId::MIN
            } else {
                EntryId::new(1, n - 1)
            };
            event["previousid"] = json!(previous.to_string());
            let id = EntryId::new(1, n).to_string();
            pipe.cmd("XADD")
                .arg(STREAM)
                .arg(id)
                .arg("event")
                .arg(event.to_string())
                .ignore();
        }
        Ok(pipe.query_async::<()>(&mut self.redis).await?)
    }

    pub(crate) async fn put_raw(&mut self, id: &str, field: &str, value: &[u8]) -> Result {
        let mut command = redis::cmd("XADD");
        command.arg(STREAM).arg(id).arg(field).arg(value);
        Ok(command.query_async::<()>(&mut self.redis).await?)
    }

    /// Asks again also when something was committed to this table, whose trigger tells of it.
    pub(crate) async fn listen(&mut self, table: &str) -> Result {
        Ok(self.listener.listen(table).await?)
    }

    /// Waits until a query answers true; asks again whenever something was committed.
    pub(crate) async fn until(&mut self, query: &'static str) -> Result {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                if sqlx::query_scalar(query).fetch_one(&self.pool).await? {
                    return Ok::<(), sqlx::Error>(());
                }
                self.listener.recv().await?;
            }
        });
        Ok(waited
            .await
            .map_err(|_| Failure::new(format!("never became true: {query}")))??)
    }

    /// Waits until every member has renewed its leases once more.
    pub(crate) async fn until_renewed(&mut self) -> Result {
        let before: time::OffsetDateTime = self
            .value("select coalesce(max(seen_at), clock_timestamp()) from outbox.consumer_member")
            .await?;
        let waited = tokio::time::timeout(PATIENCE, async {
            let query = "select coalesce(min(seen_at) > $1, false) from outbox.consumer_member";
            while !sqlx::query_scalar::<_, bool>(query)
                .bind(before)
                .fetch_one(&self.pool)
                .await?
            {
                self.listener.recv().await?;
            }
            Ok::<(), sqlx::Error>(())
        });
        Ok(waited
            .await
            .map_err(|_| Failure::new("a member does not renew its leases"))??)
    }

    /// Lets the members look at the group several times more: long enough to do what they should not.
    pub(crate) async fn until_looked_again(&mut self) -> Result {
        for _ in 0..3 {
            self.until_renewed().await?;
        }
        Ok(())
    }

    /// Waits until the group asks for an entry of a stream, and answers in the relay's place that it was trimmed.
    pub(crate) async fn relay_says_trimmed(&mut self, stream: &str, missing: &str) -> Result {
        let field = format!("{stream}|{GROUP}");
        let redis = &mut self.redis;
        system_tests::patience::until("the group asks", PATIENCE, async || {
            let asked: Option<String> = redis::cmd("HGET")
                .arg("outbox:@holes")
                .arg(&field)
                .query_async(&mut *redis)
                .await?;
            Ok(asked.filter(|asked| asked.contains(missing)).map(drop))
        })
        .await?;
        let mut say = redis::cmd("HSET");
        say.arg("outbox:@beginnings").arg(&field).arg(missing);
        Ok(say.query_async::<()>(&mut self.redis).await?)
    }

    /// Waits until a query answers this text.
    pub(crate) async fn until_is(&mut self, query: &'static str, wanted: &str) -> Result {
        let mut seen = String::new();
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                seen = sqlx::query_scalar(query).fetch_one(&self.pool).await?;
                if seen == wanted {
                    return Ok::<(), sqlx::Error>(());
                }
                self.listener.recv().await?;
            }
        });
        let waited = waited.await;
        Ok(waited.map_err(|_| Failure::new(format!("{seen:?} never became {wanted:?}: {query}")))??)
    }

    /// Waits for so many effects and returns them all, in the order of their commits.
    pub(crate) async fn effects(&mut self, count: i64) -> Result<Vec<(String, i64)>> {
        let waited = tokio::time::timeout(PATIENCE, async {
            while sqlx::query_scalar::<_, i64>("select count(*) from effect")
                .fetch_one(&self.pool)
                .await?
                < count
            {
                self.listener.recv().await?;
                while self.listener.next_buffered().is_some() {}
            }
            sqlx::query_as("select key, number from effect order by n")
                .fetch_all(&self.pool)
                .await
        });
        Ok(waited
            .await
            .map_err(|_| Failure::new(format!("there are no {count} effects")))??)
    }

    /// Waits until a session waits for an advisory lock. Nothing tells when, so it is looked for.
    pub(crate) async fn wait_for_lock(&self, number: i64) -> Result {
        self.wait_for_locks(number, 1).await
    }

    /// Waits until so many sessions do.
    pub(crate) async fn wait_for_locks(&self, number: i64, sessions: i64) -> Result {
        let waits = "select count(*) >= $2 from pg_locks where locktype = 'advisory' and objid::bigint = $1 and not granted
                         and database = (select oid from pg_database where datname = current_database())";
        let waited = tokio::time::timeout(PATIENCE, async {
            while !sqlx::query_scalar::<_, bool>(waits)
                .bind(number)
                .bind(sessions)
                .fetch_one(&self.pool)
                .await?
            {
                tokio::task::yield_now().await;
            }
            Ok::<(), sqlx::Error>(())
        });
        Ok(waited
            .await
            .map_err(|_| Failure::new("nobody waits for the lock"))??)
    }

    /// What waits for its next attempt need not wait any longer.
    pub(crate) async fn all_is_due(&self) -> Result {
        let due = "update outbox.parked_lane set due_at = clock_timestamp() where due_at < 'infinity'";
        self.pool.execute(due).await?;
        Ok(())
    }

    pub(crate) async fn value<T>(&self, query: &'static str) -> Result<T>
    where
        T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        Ok(sqlx::query_scalar(query).fetch_one(&self.pool).await?)
    }

    /// Gives up what is missing before an entry of the stream, as a person does.
    pub(crate) async fn give_up(&self, entry: &str) -> Result {
        self.give_up_on(STREAM, entry).await
    }

    /// The same on another stream.
    pub(crate) async fn give_up_on(&self, stream: &str, entry: &str) -> Result {
        sqlx::query("select outbox.pass_hole($1, $2, $3, 'gone for good')")
            .bind(GROUP)
            .bind(stream)
            .bind(entry)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// How many entries of the stream are delivered and not acknowledged.
    pub(crate) async fn pending(&mut self) -> Result<i64> {
        let mut command = redis::cmd("XPENDING");
        command.arg(STREAM).arg(GROUP);
        let answer: redis::RedisResult<Vec<redis::Value>> = command.query_async(&mut self.redis).await;
        if answer
            .as_ref()
            .is_err_and(|error| error.code() == Some("NOGROUP"))
        {
            // No member has looked at the stream yet.
            return Ok(0);
        }
        match answer?.first() {
            Some(redis::Value::Int(count)) => Ok(*count),
            _ => Err(Failure::new("XPENDING answered in another shape")),
        }
    }

    /// Makes the group and lets a member that is dead by now read so many entries.
    pub(crate) async fn read_as_dead_member(&mut self, count: usize) -> Result {
        let mut create = redis::cmd("XGROUP");
        create
            .arg("CREATE")
            .arg(STREAM)
            .arg(GROUP)
            .arg("0")
            .arg("MKSTREAM");
        // It may be there already.
        let _ = create.query_async::<()>(&mut self.redis).await;
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP")
            .arg(GROUP)
            .arg("dead")
            .arg("COUNT")
            .arg(count)
            .arg("STREAMS")
            .arg(STREAM)
            .arg(">");
        Ok(read.query_async::<()>(&mut self.redis).await?)
    }
}

impl Member {
    pub(crate) fn start(builder: Builder) -> Result<Self> {
        Ok(Self::run(builder.build()?))
    }

    /// Sets a consumer going.
    pub(crate) fn run(consumer: Consumer) -> Self {
        let token = CancellationToken::new();
        let task = tokio::spawn(consumer.run(token.clone()));
        Self { token, task }
    }

    /// Asks it to stop and goes on at once.
    pub(crate) fn ask_to_stop(&self) {
        self.token.cancel();
    }

    /// Stops it and waits until it did.
    pub(crate) async fn stop(self) -> Result {
        self.token.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task).await;
        Ok(ended.map_err(|_| Failure::new("the consumer does not stop"))???)
    }

    /// Ends it as a crash does: nothing is finished, nothing is given back.
    pub(crate) async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Three attempts within a fraction of a second.
pub(crate) fn quick_retries() -> RetryPolicy {
    RetryPolicy {
        attempts: 3,
        pause_min: Duration::from_millis(20),
        pause_max: Duration::from_millis(200),
    }
}

/// The event `number`, as the relay writes it.
pub(crate) fn event(previous: Option<&str>, key: &str, number: i64) -> serde_json::Value {
    let mut event = json!({
        "specversion": "1.0", "id": format!("event-{number}"), "source": "/shop", "type": TOPIC,
        "partitionkey": key, "recordedtime": recorded(), "data": {"number": number},
    });
    if let Some(previous) = previous {
        event["previousid"] = json!(previous);
    }
    event
}

/// The handler of most tests.
pub(crate) fn note<'a>(tx: &'a mut PgConnection, event: &'a Event) -> BoxFuture<'a, HandlerResult> {
    Box::pin(async move {
        let order: Order = event.json()?;
        sqlx::query(
            "insert into effect (key, number, epoch, member)
             select $1, $2, epoch, holder from outbox.consumer_lease limit 1",
        )
        .bind(&event.key)
        .bind(order.number)
        .execute(tx)
        .await?;
        Ok(())
    })
}

/// The entry ids `1-1`, `1-2`, … of a chain, with their predecessors.
pub(crate) fn chain(length: u64) -> Vec<(String, String)> {
    (1..=length)
        .map(|n| {
            let previous = if n == 1 {
                EntryId::MIN
            } else {
                EntryId::new(1, n - 1)
            };
            (EntryId::new(1, n).to_string(), previous.to_string())
        })
        .collect()
}
