//! The one place that knows every concrete part: settings become a dial, a sink and a candidate, and these a relay.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::stream::{self, FuturesUnordered, StreamExt};
use outbox_core::publish::redis::{Limits, RedisSink, Replicas};
use outbox_core::publish::{self, Mode, StreamName, retry::Backoff};
use outbox_core::standing::Standing;
use outbox_core::tail::candidate::Candidate;
use outbox_core::tail::lease::Lease;
use outbox_core::tail::pg::leases::Instance;
use outbox_core::tail::pg::{Dial, Messages, Session};
use outbox_core::tail::run::Tail;
use outbox_core::tail::{self, upkeep};
use outbox_core::verdict::Verdict;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config};
use crate::connect::{self, Role};

/// A refusal is looked at again this often: a person may have mended its cause.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
/// Pauses between terms that failed.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(3));

/// Stands for the lead, leads, and stands again, until the token is cancelled.
///
/// # Errors
/// The settings cannot be turned into connections.
pub async fn relay(
    config: Arc<Config>,
    standing: watch::Sender<Standing>,
    token: CancellationToken,
) -> Result<(), connect::Error> {
    let sink = RedisSink::new(
        connect::redis(&config)?,
        Limits {
            connect: config.redis.connect_timeout,
            answer: config.redis.response_timeout,
            replicas: replicas(&config),
        },
    );
    let dial = dial(config.clone());
    let candidate = Candidate {
        dial: dial.clone(),
        instance: instance(),
        options: tail_options(&config),
        standing: standing.clone(),
    };
    let parts = Parts {
        config,
        dial,
        sink: Arc::new(sink),
        options: candidate.options.clone(),
        standing,
    };
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    while !token.is_cancelled() {
        let led_since = OnceLock::new();
        // A term holds all of a leader: too much to be moved about on the stack.
        let term = Box::pin(candidate.term(&token, |lease, token| {
            led_since.get_or_init(Instant::now);
            parts.lead(lease, token)
        }))
        .await;
        let pause = match term {
            Ok(()) => {
                backoff.reset();
                continue;
            }
            Err(error) => {
                backoff.went_well_for(led_since.get().map_or(Duration::ZERO, Instant::elapsed));
                parts.after(&error, &mut backoff)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = token.cancelled() => {}
        }
    }
    Ok(())
}

/// Whom behind Redis a parcel waits for. A wait that takes longer than an answer may would be no answer at all.
pub(crate) fn replicas(config: &Config) -> Option<Replicas> {
    let count = u32::try_from(config.publish.min_replicas).unwrap_or(u32::MAX);
    (count > 0).then(|| Replicas {
        count,
        within: config
            .publish
            .replica_timeout
            .min(config.redis.response_timeout / 2),
        key: format!("{}@replicas", config.redis.prefix),
    })
}

/// Waits for a task that panicked, and panics with it: a leader that looks after nothing any more must not go on as if it did.
/// Tasks that ended otherwise were told to. Dropped: they go on to the end of their step.
async fn broken(mut beside: FuturesUnordered<JoinHandle<()>>) {
    while let Some(ended) = beside.next().await {
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic.into_panic());
        }
    }
    std::future::pending().await
}

/// What every term is made of.
struct Parts {
    config: Arc<Config>,
    dial: Dial,
    sink: Arc<RedisSink>,
    options: tail::Options,
    standing: watch::Sender<Standing>,
}

impl Parts {
    /// One term: tail, publisher and upkeep, until one of them ends.
    async fn lead(
        &self,
        lease: watch::Receiver<Lease>,
        token: CancellationToken,
    ) -> Result<(), publish::Error> {
        let (orders, ordered) = mpsc::channel(1);
        let (tail, head) = Tail::open(&self.dial, &self.options, lease.clone(), ordered).await?;
        let open = || {
            Session::open(
                &self.dial,
                "tail",
                self.options.pooled,
                self.options.statement_limit,
            )
        };
        let (reader, session) = (open().await?, open().await?);
        let (cuts, taken) = mpsc::channel(1);
        let stop = token.child_token();
        let _stop_all = stop.clone().drop_guard();
        let mut tailing = tokio::spawn(tail.run(cuts, stop.clone()));
        let beside = FuturesUnordered::new();
        let (compared, seen) = watch::channel(false);
        let (halted, has_halted) = watch::channel(true);
        if self.config.maintain.enabled && !self.options.pooled {
            let upkeep = upkeep::run(
                self.dial.clone(),
                self.config.maintain.interval,
                Duration::from_secs(600),
                lease.clone(),
                stop.clone(),
            );
            beside.push(tokio::spawn(once_compared(seen.clone(), upkeep)));
        }
        let looking_after = publish::upkeep::Parts {
            sink: RedisSink::clone(&self.sink),
            dial: self.dial.clone(),
            statement_limit: self.options.statement_limit,
            pooled: self.options.pooled,
            prefix: self.config.redis.prefix.clone(),
            names: StreamName::new(&self.config.redis.prefix, head.writer.clone()),
            database_id: head.database_id.clone(),
            lease: lease.clone(),
            halted: has_halted,
            orders,
            look_every: self.config.publish.look_every,
        };
        let looking = publish::upkeep::run(looking_after, stop.clone());
        beside.push(tokio::spawn(once_compared(seen, looking)));
        let term = publish::term::Term {
            sink: self.sink.clone(),
            reader,
            session,
            head,
            prefix: self.config.redis.prefix.clone(),
            options: publish_options(&self.config),
            lease,
            standing: self.standing.clone(),
            compared,
            halted,
        };
        let publishing = publish::run::lead(term, taken, token.clone());
        tokio::pin!(publishing);
        tokio::select! {
            published = &mut publishing => published,
            tailed = &mut tailing => match tailed {
                Ok(Ok(())) => publishing.await,
                Ok(Err(error)) => Err(error.into()),
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            },
            () = broken(beside) => Ok(()),
        }
    }

    /// Says why a term ended, and how long to wait before the next.
    fn after(&self, error: &publish::Error, backoff: &mut Backoff) -> Duration {
        let cause = format!("{error}; {}", error.advice());
        match error.verdict() {
            Verdict::Stop | Verdict::Park => {
                tracing::error!(%error, advice = error.advice(), "refused: nothing is published");
                self.standing.send_replace(Standing::Refused { cause });
                REFUSED_PAUSE
            }
            Verdict::Retry => {
                tracing::warn!(%error, advice = error.advice(), "the term ended; standing again");
                self.standing.send_replace(Standing::Waiting { cause });
                backoff.pause()
            }
        }
    }
}

/// Nothing is trimmed or dropped by a database that may have gone back in time: `work` begins when both ends were compared, and
/// never if the term ends before.
async fn once_compared(mut compared: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    if compared.wait_for(|compared| *compared).await.is_ok() {
        work.await;
    }
}

/// How to connect to the primary for a purpose.
pub(crate) fn dial(config: Arc<Config>) -> Dial {
    Arc::new(move |purpose| {
        let config = config.clone();
        Box::pin(async move {
            let role = match purpose {
                "lease" => Role::Lease,
                "maintain" => Role::Maintain,
                "recover" => Role::Command,
                _ => Role::Tail,
            };
            let (client, mut connection) = connect::postgres(&config, role).await?;
            let messages: Messages =
                Box::pin(stream::poll_fn(move |context| connection.poll_message(context)));
            Ok((client, messages))
        })
    })
}

fn tail_options(config: &Config) -> tail::Options {
    tail::Options {
        lease_ttl: config.tail.lease_ttl,
        slow_poll: config.tail.slow_poll,
        pace: config.tail.pace,
        doze: (config.tail.poll_min, config.tail.poll_max),
        first_rows: signed(config.tail.first_rows),
        first_bytes: signed(config.tail.chunk_bytes),
        statement_limit: config.postgres.query_timeout,
        listen: config.postgres.listen,
        pooled: !config.postgres.listen,
    }
}

fn publish_options(config: &Config) -> publish::Options {
    publish::Options {
        mode: match config.publish.mode {
            config::Mode::Structured => Mode::Structured,
            config::Mode::Binary => Mode::Binary,
        },
        parcel_rows: config.publish.share_rows,
        reissue_rate: u32::try_from(config.publish.reissue_rate).unwrap_or(u32::MAX),
        parcel_bytes: config.publish.share_bytes,
        chunk_rows: config.tail.chunk_rows,
        chunk_bytes: config.tail.chunk_bytes,
        max_entry_bytes: config.publish.max_entry_bytes,
        backoff_min: config.publish.backoff_min,
        backoff_max: config.publish.backoff_max,
        ..publish::Options::default()
    }
}

fn signed(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn instance() -> Instance {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => std::env::var("HOSTNAME").unwrap_or_else(|_| "localhost".to_owned()),
        name => name.to_owned(),
    };
    // The random part tells a process from one that had its id before it.
    let name = format!("{host}/{}/{:08x}", std::process::id(), rand::random::<u32>());
    Instance {
        name,
        host,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
