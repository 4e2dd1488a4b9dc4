//! Describing a consumer. All problems of a description are reported at once.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::call::{Call, Function};
use super::handler::{Applier, BatchHandler, BoxFuture, Handler, HandlerResult, JsonHandler};
use super::inbox::keyed::{Deduplication, Identity};
use super::park::DeadPolicy;
use super::pg::{self, PgConnection, PgPool};
use super::routes::Routes;
use super::run::{Consumer, Database};
use super::settings::{DEFAULT_CONNECTIONS, Ordering, Settings};
use super::stream::PARTITIONS_MAX;
use super::{Error, redis};
use crate::event::Event;
use crate::standing::Standing;

/// The shortest lease that renewals at a third of it keep through an ordinary hiccup.
const LEASE_MIN: Duration = Duration::from_millis(300);

/// A consumer being described.
pub struct Builder {
    group: String,
    database: Option<Database>,
    redis: Option<Result<::redis::Client, Error>>,
    routes: Routes,
    functions: Vec<Function>,
    settings: Settings,
    connections: u32,
    problems: Vec<String>,
}

impl Builder {
    pub(super) fn new(group: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            database: None,
            redis: None,
            routes: Routes::default(),
            functions: Vec::new(),
            settings: Settings::default(),
            connections: DEFAULT_CONNECTIONS,
            problems: Vec::new(),
        }
    }

    /// The handlers' database, with the inbox in it. A member keeps one connection of the pool for its leases, and a stream that
    /// applies takes another.
    #[must_use]
    pub fn database(mut self, pool: PgPool) -> Self {
        self.database = Some(Database::Pool(pool));
        self
    }

    /// The handlers' database by its URL; a pool is made from it.
    #[must_use]
    pub fn database_url(mut self, url: impl Into<String>) -> Self {
        self.database = pg::parse(&url.into()).map(|options| Database::Options(Box::new(options)));
        if self.database.is_none() {
            // The URL may hold a password.
            self.problems
                .push("database: must be a postgres:// URL".to_owned());
        }
        self
    }

    /// How many connections a pool made from a URL may have.
    #[must_use]
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections;
        self
    }

    /// The Redis with the streams; `rediss://` for TLS where the `redis` crate has it compiled in.
    #[must_use]
    pub fn redis(mut self, url: impl Into<String>) -> Self {
        self.redis = Some(redis::client(&url.into()));
        self
    }

    /// The Redis with the streams, by a client that was made elsewhere: for authorities of one's own, or credentials that are
    /// not part of a URL.
    #[must_use]
    pub fn redis_client(mut self, client: ::redis::Client) -> Self {
        self.redis = Some(Ok(client));
        self
    }

    /// What precedes the topic in a stream's key. Default [`super::DEFAULT_PREFIX`].
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.prefix = prefix.into();
        self
    }

    /// Applies every event of a topic with a closure.
    #[must_use]
    pub fn on<F>(self, topic: &str, handler: F) -> Self
    where
        F: for<'a> Fn(&'a mut PgConnection, &'a Event) -> BoxFuture<'a, HandlerResult>
            + Send
            + Sync
            + 'static,
    {
        self.on_handler(topic, handler)
    }

    /// Applies every event of a topic with a closure that takes the payload as `T`. A payload that is no `T` is given up
    /// at once.
    #[must_use]
    pub fn on_json<T, F>(self, topic: &str, handler: F) -> Self
    where
        T: DeserializeOwned + Send + 'static,
        F: for<'a> Fn(&'a mut PgConnection, T, &'a Event) -> BoxFuture<'a, HandlerResult>
            + Send
            + Sync
            + 'static,
    {
        self.on_handler(topic, JsonHandler::new(handler))
    }

    /// Applies every event of a topic with a handler.
    #[must_use]
    pub fn on_handler(mut self, topic: &str, handler: impl Handler) -> Self {
        if !self.routes.add(topic, Applier::One(Arc::new(handler))) {
            self.problems
                .push(format!("topic {topic}: has two handlers for every type"));
        }
        self
    }

    /// Applies the events of one type on a topic. The topic's other types are skipped, unless another handler takes them.
    #[must_use]
    pub fn on_type(mut self, topic: &str, r#type: &str, handler: impl Handler) -> Self {
        if !self
            .routes
            .add_type(topic, r#type, Applier::One(Arc::new(handler)))
        {
            self.problems
                .push(format!("topic {topic}: has two handlers for type {type}"));
        }
        self
    }

    /// Applies the events of a topic several at a time: as many as one transaction has, at most [`Self::batch`] where that is said. Where
    /// it is not, up to [`super::DEFAULT_TOGETHER`] while a stream is behind.
    #[must_use]
    pub fn on_batch(mut self, topic: &str, handler: impl BatchHandler) -> Self {
        if !self.routes.add(topic, Applier::Many(Arc::new(handler))) {
            self.problems
                .push(format!("topic {topic}: has two handlers for every type"));
        }
        self
    }

    /// Applies every event of a topic by an SQL function `schema.function(event json)` of the handlers' database. It is called for
    /// one event after the other, by one statement for all that one transaction has; [`Self::handler_limit`] bounds that statement.
    #[must_use]
    pub fn call(mut self, topic: &str, function: &str) -> Self {
        match function.parse::<Function>() {
            Ok(function) => {
                self.functions.push(function.clone());
                self.on_batch(topic, Call::new(&function))
            }
            Err(problem) => {
                self.problems.push(format!("topic {topic}: {problem}"));
                self
            }
        }
    }

    /// Reads the streams of these writers beside each topic's own, and looks for no others.
    #[must_use]
    pub fn writers<W: Into<String>>(mut self, writers: impl IntoIterator<Item = W>) -> Self {
        self.settings.writers = writers.into_iter().map(Into::into).collect();
        self.settings.discovery = None;
        self
    }

    /// Applies these partitions and no others, instead of a fair share. Other members leave them to this one while it lives.
    /// A topic without partitions counts as partition 0.
    #[must_use]
    pub fn partitions(mut self, partitions: impl IntoIterator<Item = u32>) -> Self {
        self.settings.partitions = Some(partitions.into_iter().collect());
        self
    }

    /// How often streams of new writers are looked for; none for never. One look is a walk over the keys of the Redis
    /// database. Default [`super::DEFAULT_DISCOVERY`].
    #[must_use]
    pub fn discovery(mut self, every: Option<Duration>) -> Self {
        self.settings.discovery = every;
        self
    }

    /// How long a member that says nothing keeps a stream. Default [`super::DEFAULT_LEASE`].
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// How long one attempt may take. Default [`super::DEFAULT_HANDLER_LIMIT`].
    #[must_use]
    pub fn handler_limit(mut self, limit: Duration) -> Self {
        self.settings.handler_limit = limit;
        self
    }

    /// How often an event is tried and how long it waits in between. Default three times.
    #[must_use]
    pub fn retry(mut self, policy: super::RetryPolicy) -> Self {
        self.settings.retry = policy;
        self
    }

    /// The same for one topic, instead of [`Self::retry`].
    #[must_use]
    pub fn retry_topic(mut self, topic: &str, policy: super::RetryPolicy) -> Self {
        self.settings.retry_by_topic.insert(topic.to_owned(), policy);
        self
    }

    /// What becomes of a key when its event is given up. Default: its later events wait.
    #[must_use]
    pub fn on_dead(mut self, policy: DeadPolicy) -> Self {
        self.settings.on_dead = policy;
        self
    }

    /// Tells input of a topic by what it says, besides by the ids of its events: for senders that repeat a request under a new
    /// id, such as webhooks. Within the window, counted from when the first event with an identity was recorded, those that
    /// follow are finished without effect.
    #[must_use]
    pub fn deduplicate(mut self, topic: &str, identity: Identity, window: Duration) -> Self {
        let by = Deduplication { identity, window };
        self.settings.deduplicate.insert(topic.to_owned(), by);
        self
    }

    /// Whose order is kept. Default: that of the events of one key.
    #[must_use]
    pub fn ordering(mut self, ordering: Ordering) -> Self {
        self.settings.ordering = ordering;
        self
    }

    /// How many transactions of one stream may be open at a time. A key is in one of them at most. With one, keys are applied in the order of
    /// the stream too, but for those that wait for another attempt. Default [`super::DEFAULT_CONCURRENCY`].
    #[must_use]
    pub fn concurrency(mut self, transactions: usize) -> Self {
        self.settings.concurrency = transactions;
        self
    }

    /// Which versions (`schemaversion`) of a type on a topic the handler knows. Events of others wait, and their keys with
    /// them, for a member that knows them. Without this, and for events without a version: all of them.
    #[must_use]
    pub fn versions<V: Into<String>>(
        mut self,
        topic: &str,
        r#type: &str,
        versions: impl IntoIterator<Item = V>,
    ) -> Self {
        let versions = versions.into_iter().map(Into::into);
        self.routes.add_versions(topic, r#type, versions);
        self
    }

    /// How many events one transaction may apply. Default [`super::DEFAULT_BATCH`], and [`super::DEFAULT_TOGETHER`] for events that are
    /// handed over together while a stream is behind; a number that is said holds for these as well.
    #[must_use]
    pub fn batch(mut self, events: usize) -> Self {
        self.settings.batch = events;
        self.settings.together = events;
        self
    }

    /// The name under which this member holds leases; unique among the members of the group.
    #[must_use]
    pub fn member(mut self, name: impl Into<String>) -> Self {
        self.settings.member = name.into();
        self
    }

    /// The consumer.
    ///
    /// # Errors
    /// [`Error::Configuration`] with every problem of the description.
    pub fn build(mut self) -> Result<Consumer, Error> {
        self.validate();
        if let Some(Err(_)) = &self.redis {
            // The URL may hold a password.
            self.problems
                .push("redis: must be a redis:// or rediss:// URL that this build supports".to_owned());
        }
        let (Some(database), Some(Ok(redis)), true) = (self.database, self.redis, self.problems.is_empty())
        else {
            return Err(Error::Configuration {
                problems: self.problems,
            });
        };
        Ok(Consumer {
            group: self.group,
            database,
            connections: self.connections,
            redis,
            routes: self.routes,
            functions: self.functions,
            settings: self.settings,
            standing: watch::Sender::new(Standing::Starting),
        })
    }

    fn validate(&mut self) {
        let settings = &self.settings;
        let mut check = |is_met: bool, rule: &str| {
            if !is_met {
                self.problems.push(rule.to_owned());
            }
        };
        check(
            (1..=200).contains(&self.group.len()),
            "group: must be 1 to 200 bytes",
        );
        check(self.database.is_some(), "database: must be given");
        check(self.redis.is_some(), "redis: must be given");
        check(
            !self.routes.topics().is_empty(),
            "topics: must have at least one handler",
        );
        for name in self
            .routes
            .topics()
            .into_iter()
            .chain(settings.writers.iter().map(String::as_str))
        {
            let is_name = (1..=200).contains(&name.len())
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
            check(
                is_name,
                &format!("topics and writers: must be 1 to 200 of A-Z a-z 0-9 . _ -, got {name:?}"),
            );
        }
        check(settings.lease >= LEASE_MIN, "lease: must be at least 300 ms");
        check(
            settings.handler_limit > Duration::ZERO,
            "handler_limit: must be more than nothing",
        );
        for policy in settings.retry_by_topic.values().chain([&settings.retry]) {
            check(policy.attempts > 0, "retry: must be at least one attempt");
            check(
                policy.pause_min <= policy.pause_max,
                "retry: the first pause must not exceed the longest",
            );
        }
        check(
            (1..=100).contains(&settings.concurrency),
            "concurrency: must be 1 to 100",
        );
        check(
            (1..=settings.window).contains(&settings.batch),
            "batch: must be 1 to the size of the window, 1000",
        );
        for (topic, by) in &settings.deduplicate {
            check(
                self.routes.topics().contains(&topic.as_str()),
                &format!("deduplicate: topic {topic} has no handler"),
            );
            check(
                by.window >= Duration::from_secs(1),
                "deduplicate: the window must be at least a second",
            );
        }
        check(!settings.member.is_empty(), "member: must not be empty");
        check(
            !settings.member.starts_with("seek "),
            "member: must not begin with `seek `: so are seeks named, which may do what a member may not",
        );
        check(
            settings.partitions.as_ref().is_none_or(|named| !named.is_empty()),
            "partitions: must name at least one, such as [0, 2]",
        );
        check(
            settings
                .partitions
                .iter()
                .flatten()
                .all(|number| *number < PARTITIONS_MAX),
            "partitions: must be from 0 to 1023",
        );
        // One is the member's own: it renews the leases whatever the handlers do. One records how far the streams came.
        let connections = match &self.database {
            Some(Database::Pool(pool)) => pg::pool_size(pool),
            _ => self.connections,
        };
        check(connections >= 3, "connections: the pool must have at least three");
    }
}
