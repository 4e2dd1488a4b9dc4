//! What is pending is claimed once: at the start, and later if nobody here has it. Counted in commands, at a Redis of the test's own.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use outbox_core::consume::{Builder, HandlerResult};
use redis::aio::MultiplexedConnection;
use system_tests::login::equipped;
use system_tests::patience::until;
use system_tests::{Failure, Login, Result};
use tokio::sync::Semaphore;
use xtask::servers::Redis;

use super::bench::{Bench, Member, STREAM, TOPIC, event, note};

/// No answer of a loopback Redis takes this long.
const LIMIT: Duration = Duration::from_secs(10);
/// What only says that something hangs.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a member may have loaded, and one read ahead of it, and one more in the channel.
const IN_HAND: usize = 1000 + 128 + 128;
/// A session asks for few entries at first, and for more when it has seen that they are small: so many claims are enough for what
/// fits into eight large ones.
const SLOW_START: u64 = 9;

/// A bench with a Redis that nobody else asks anything.
struct Counted {
    bench: Bench,
    server: Redis,
}

impl Counted {
    async fn new() -> Result<Self> {
        let server = equipped(Redis::options()).start()?;
        let mut bench = Bench::new().await?;
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(LIMIT));
        let client = redis::Client::open(server.url(0))?;
        bench.redis = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        Ok(Self { bench, server })
    }

    fn describe(&self) -> Builder {
        let describe = self
            .bench
            .describe()
            .redis(Login::Consumer.redis_url(&self.server.url(0)));
        describe.lease(Duration::from_secs(60))
    }

    /// A member whose handlers begin their work when they are let.
    fn start_gated(&self) -> Result<(Member, Arc<Semaphore>)> {
        let gate = Arc::new(Semaphore::new(0));
        let may_go = gate.clone();
        let member = Member::start(self.describe().on(TOPIC, move |tx, event| {
            let gate = gate.clone();
            let work: BoxFuture<'_, HandlerResult> = Box::pin(async move {
                let _permit = gate.acquire().await?;
                note(tx, event).await
            });
            work
        }))?;
        Ok((member, may_go))
    }

    async fn calls(&mut self, command: &str) -> Result<u64> {
        calls(&mut self.bench.redis, command).await
    }

    /// Waits until so many calls were counted.
    async fn until_called(&mut self, command: &str, times: u64) -> Result {
        let redis = &mut self.bench.redis;
        let called = until(command, PATIENCE, async || {
            Ok((calls(redis, command).await? >= times).then_some(()))
        });
        called.await
    }

    /// Waits until so many entries are pending.
    async fn until_pending(&mut self, count: i64) -> Result {
        let bench = &mut self.bench;
        let pending = until("entries are pending", PATIENCE, async || {
            Ok((bench.pending().await? == count).then_some(()))
        });
        pending.await
    }
}

/// How often a command was called.
async fn calls(redis: &mut MultiplexedConnection, command: &str) -> Result<u64> {
    let stats: String = redis::cmd("INFO").arg("commandstats").query_async(redis).await?;
    let line = format!("cmdstat_{command}:calls=");
    let Some(rest) = stats.lines().find_map(|found| found.strip_prefix(&line)) else {
        return Ok(0);
    };
    let number = rest.split(',').next().unwrap_or_default();
    number
        .parse()
        .map_err(|_| Failure::new(format!("{command}: {rest}")))
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("k{}", n % 100)).collect()
}

/// Each number once, and those of a key in their order.
fn assert_complete_and_in_order(effects: &[(String, i64)]) {
    let mut numbers: Vec<i64> = effects.iter().map(|(_, number)| *number).collect();
    numbers.sort_unstable();
    assert!(
        numbers
            .iter()
            .copied()
            .eq(1..=i64::try_from(effects.len()).unwrap_or(0))
    );
    let mut last = std::collections::HashMap::new();
    for (key, number) in effects {
        let before = last.insert(key, number);
        assert!(before < Some(number), "{number} of {key} came behind {before:?}");
    }
}

#[tokio::test]
async fn what_is_in_hand_or_read_ahead_is_not_claimed_again() -> Result {
    // GIVEN more events than a member may hold, and handlers that wait: it holds what it may, and has read ahead
    let mut counted = Counted::new().await?;
    let keys = keys(IN_HAND + 1000);
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    counted.bench.put_all(&names).await?;
    let (member, gate) = counted.start_gated()?;
    counted.until_called("xreadgroup", 2).await?;
    // WHEN it has looked at what is pending, and goes on
    counted.until_called("xpending", 1).await?;
    gate.add_permits(4);
    let effects = counted.bench.effects(i64::try_from(names.len())?).await?;
    member.stop().await?;
    // THEN everything was read once, and only the look at the start claimed
    assert_complete_and_in_order(&effects);
    assert_eq!(counted.calls("xautoclaim").await?, 1);
    assert_eq!(counted.bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn what_somebody_else_took_is_found_beside_a_lot_that_is_in_hand_and_claimed_once() -> Result {
    // GIVEN events of a stranger, for which nothing waits, more than a member may hold
    let mut counted = Counted::new().await?;
    let (taken, deleted, total) = (600, 50, IN_HAND + 1600);
    let (member, gate) = counted.start_gated()?;
    for (n, key) in (1..).zip(keys(total)) {
        let event = event(None, &key, n).to_string();
        counted
            .bench
            .put_raw(&format!("1-{n}"), "event", event.as_bytes())
            .await?;
    }
    // AND it holds what it may
    let mut held = 0;
    until("the member holds what it may", PATIENCE, async || {
        let before = std::mem::replace(&mut held, counted.bench.pending().await?);
        let reads = calls(&mut counted.bench.redis, "xreadgroup").await?;
        Ok((held == before && held > 1000 && reads > 8).then_some(()))
    })
    .await?;
    // WHEN somebody else reads what follows and does nothing with it, part of that is deleted, and the member goes on
    counted.bench.read_as_dead_member(taken).await?;
    let mut delete = redis::cmd("XDEL");
    delete.arg(STREAM);
    for n in held + 1..=held + deleted {
        delete.arg(format!("1-{n}"));
    }
    delete.query_async::<()>(&mut counted.bench.redis).await?;
    gate.add_permits(4);
    let left = i64::try_from(total)? - deleted;
    counted.bench.effects(left).await?;
    counted.until_pending(0).await?;
    member.stop().await?;
    // THEN all that is there has had its effect, once, nothing is pending, and it claimed what it did not have
    let effects = "select count(*) from effect";
    let numbers = "select count(distinct number) from effect";
    assert_eq!(counted.bench.value::<i64>(effects).await?, left);
    assert_eq!(counted.bench.value::<i64>(numbers).await?, left);
    let claims = counted.calls("xautoclaim").await?;
    let enough = 1 + SLOW_START + taken as u64 / 128;
    assert!(
        (2..=enough).contains(&claims),
        "{claims} claims for {taken} entries"
    );
    Ok(())
}

#[tokio::test]
async fn what_a_dead_member_left_is_claimed_once_and_applied_in_its_order() -> Result {
    // GIVEN many entries that a member read and never acknowledged
    let mut counted = Counted::new().await?;
    let keys = keys(5000);
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    counted.bench.put_all(&names).await?;
    counted.bench.read_as_dead_member(names.len()).await?;
    // WHEN another one takes the stream over
    let member = Member::start(counted.describe().on(TOPIC, note))?;
    let effects = counted.bench.effects(i64::try_from(names.len())?).await?;
    counted.until_pending(0).await?;
    member.stop().await?;
    // THEN all of it has had its effect in its order, and each entry was claimed once
    assert_complete_and_in_order(&effects);
    let claims = counted.calls("xautoclaim").await?;
    let enough = 1 + SLOW_START + names.len() as u64 / 128;
    assert!(claims <= enough, "{claims} claims for {} entries", names.len());
    Ok(())
}
