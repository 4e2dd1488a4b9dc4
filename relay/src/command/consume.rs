//! `outbox-relay consume`: a consumer without code. The library's consumer hands each event to an SQL function of the
//! consumer's own database, inside the transaction that records the event as applied.

use std::time::Duration;

use clap::{Args, ValueEnum};
use outbox_core::consume::{Consumer, DEFAULT_BATCH, Identity, RetryPolicy};
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::config::kind::{Kind as _, Span};
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::{http, lag, telemetry};

/// What to apply, and by what.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Consumer group: effects are one per group and event; members of a group share its streams
    #[arg(long)]
    group: String,
    /// A topic to apply; repeat it for several
    #[arg(long = "topic", value_name = "TOPIC", required = true)]
    topics: Vec<String>,
    /// The function, called as `schema.function(event json)`; what it raises is a failed attempt
    #[arg(long, value_name = "SCHEMA.FUNCTION")]
    call: String,
    /// Attempts for one topic, instead of `consume.attempts`; repeat it for several
    #[arg(long = "topic-attempts", value_name = "TOPIC=N", value_parser = topic_attempts)]
    topic_attempts: Vec<(String, u32)>,
    /// The versions (`schemaversion`) of a type that the function knows; events of others wait, with their keys, for a member
    /// that knows them. Repeat it for several types
    #[arg(long = "versions", value_name = "TYPE=V[,V…]", value_parser = versions)]
    versions: Vec<(String, Vec<String>)>,
    /// Tell input also by what it says, for senders that repeat a request under a new id; what comes again is passed
    #[arg(long, value_enum, value_name = "BY")]
    deduplicate: Option<Deduplicate>,
    /// For how long after the first
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = window, requires = "deduplicate")]
    deduplicate_window: Duration,
    /// Name of this member, unique within the group [default: made at random]
    #[arg(long)]
    member: Option<String>,
    /// Partitions to apply, such as 0,2, and no others [default: a fair share]
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS", value_parser = clap::value_parser!(u32).range(0..1024))]
    partitions: Vec<u32>,
}

/// By what two events are one and the same input.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Deduplicate {
    /// By type and correlation id
    CorrelationId,
    /// By type and payload, byte for byte
    Content,
}

fn window(text: &str) -> Result<Duration, String> {
    let span = Span(Duration::from_secs(1), Duration::from_secs(365 * 86_400));
    span.read(text)
        .ok_or_else(|| format!("must be {}", span.expects()))
}

/// Consumes until the token is cancelled; then finishes what is in hand and gives its streams back.
///
/// # Errors
/// What a person must mend: settings, no inbox in the database, no such function.
pub async fn run(config: &Config, arguments: Arguments, token: CancellationToken) -> Result<Exit, Failure> {
    let metrics = telemetry::metrics()?;
    let pool = connect::pool(config, Role::Consume)?;
    let consumer = describe(config, arguments, pool)?;
    let server = http::Server::bind(&config.http).await?;
    let (_, no_causes) = watch::channel(http::Causes::new());
    // Nobody reads anything for it: an asker without a watch is let go at once.
    let (asker, _) = lag::channel();
    let serving = tokio::spawn(server.run(consumer.standing(), (no_causes, asker), metrics, token.clone()));
    let consumed = consumer.run(token.clone()).await;
    token.cancel();
    let serving = serving.await;
    consumed.map_err(|error| Failure::error(format!("{error}; {}", error.advice())))?;
    match serving {
        Ok(Ok(())) => Ok(Exit::Success),
        Ok(Err(error)) => Err(Failure::error(format!("the health endpoint failed: {error}"))),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

fn describe(config: &Config, arguments: Arguments, pool: PgPool) -> Result<Consumer, Failure> {
    let settings = &config.consume;
    let policy = RetryPolicy {
        attempts: u32::try_from(settings.attempts).unwrap_or(u32::MAX),
        pause_min: settings.backoff_min,
        pause_max: settings.backoff_max,
    };
    let mut builder = Consumer::builder(arguments.group)
        .database(pool)
        .redis_client(connect::redis(config)?)
        .prefix(&config.redis.prefix)
        .retry(policy)
        .on_dead(settings.on_dead)
        .ordering(settings.ordering)
        .concurrency(settings.concurrency)
        .lease(settings.lease_ttl)
        .handler_limit(settings.handler_limit)
        .discovery(Some(settings.discovery));
    if settings.batch != DEFAULT_BATCH {
        builder = builder.batch(settings.batch);
    }
    if let Some(member) = arguments.member {
        builder = builder.member(member);
    }
    let named = Some(arguments.partitions).filter(|named| !named.is_empty());
    if let Some(partitions) = named.or_else(|| settings.partitions.clone()) {
        builder = builder.partitions(partitions);
    }
    for (topic, attempts) in arguments.topic_attempts {
        builder = builder.retry_topic(&topic, RetryPolicy { attempts, ..policy });
    }
    for topic in &arguments.topics {
        builder = builder.call(topic, &arguments.call);
        for (r#type, versions) in &arguments.versions {
            builder = builder.versions(topic, r#type, versions.iter().cloned());
        }
        if let Some(by) = arguments.deduplicate {
            let identity = match by {
                Deduplicate::CorrelationId => Identity::CorrelationId,
                Deduplicate::Content => Identity::Content,
            };
            builder = builder.deduplicate(topic, identity, arguments.deduplicate_window);
        }
    }
    builder
        .build()
        .map_err(|error| Failure::new(Exit::Usage, format!("{error}; {}", error.advice())))
}

/// Reads `orders.placed=5`.
fn topic_attempts(text: &str) -> Result<(String, u32), String> {
    let example = || format!("must be a topic and 1 to 100 attempts, such as orders.placed=5, got {text:?}");
    let (topic, attempts) = text.split_once('=').ok_or_else(example)?;
    let attempts = attempts
        .parse()
        .ok()
        .filter(|attempts| (1..=100).contains(attempts));
    Ok((topic.to_owned(), attempts.ok_or_else(example)?))
}

/// Reads `orders.placed=1,2`.
fn versions(text: &str) -> Result<(String, Vec<String>), String> {
    let example = || format!("must be a type and its versions, such as orders.placed=1,2, got {text:?}");
    let (r#type, versions) = text.split_once('=').ok_or_else(example)?;
    let versions: Vec<String> = versions.split(',').map(str::to_owned).collect();
    if r#type.is_empty() || versions.iter().any(String::is_empty) {
        return Err(example());
    }
    Ok((r#type.to_owned(), versions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_and_versions_are_read_and_a_mistake_is_told_with_an_example() {
        assert_eq!(
            topic_attempts("orders.placed=5"),
            Ok(("orders.placed".to_owned(), 5))
        );
        let two = vec!["1".to_owned(), "2".to_owned()];
        assert_eq!(
            versions("orders.placed=1,2"),
            Ok(("orders.placed".to_owned(), two))
        );
        for refused in [
            "orders.placed",
            "orders.placed=0",
            "orders.placed=101",
            "orders.placed=many",
        ] {
            assert!(topic_attempts(refused).is_err_and(|error| error.contains("orders.placed=5")));
        }
        for refused in ["orders.placed", "orders.placed=", "=1", "orders.placed=1,,2"] {
            assert!(versions(refused).is_err_and(|error| error.contains("orders.placed=1,2")));
        }
    }
}
