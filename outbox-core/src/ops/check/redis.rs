//! What Redis must be like.

use std::collections::HashMap;

use super::Check;

/// The oldest version that has what consumers need (XAUTOCLAIM) and what probing needs (NOMKSTREAM).
const OLDEST_VERSION: (u32, u32) = (6, 2);
/// From here on a burst may fill the rest within a monitoring interval.
const FULL_MEMORY: f64 = 0.8;

/// What a Redis says about itself.
#[derive(Clone, Debug, Default)]
pub struct RedisFacts {
    /// `redis_version` or `valkey_version`.
    pub version: String,
    /// `master` or `slave`.
    pub role: String,
    /// Whether it is a node of a cluster.
    pub cluster: bool,
    /// Bytes used.
    pub used_memory: u64,
    /// Bytes it may use; 0 for all there are.
    pub max_memory: u64,
    /// What it does when they are used.
    pub policy: String,
    /// Whether every write goes to the append-only file.
    pub append_only: bool,
    /// Whether the last writes to the append-only file and the last snapshot went well.
    pub persistence_works: bool,
    /// Its clock, in seconds since 1970.
    pub clock: Option<f64>,
    /// What it refused of what publishing does, in its words.
    pub refusals: Vec<String>,
}

impl RedisFacts {
    /// Reads the answer to `INFO`.
    #[must_use]
    pub fn from_info(info: &str) -> Self {
        let lines = info.lines().filter_map(|line| line.trim().split_once(':'));
        let values: HashMap<&str, &str> = lines.collect();
        let text = |name: &str| values.get(name).copied().unwrap_or_default().to_owned();
        let number = |name: &str| values.get(name).and_then(|value| value.parse().ok()).unwrap_or(0);
        let went_well = |name: &str| values.get(name).is_none_or(|value| *value == "ok");
        Self {
            version: text("redis_version"),
            role: text("role"),
            cluster: text("cluster_enabled") == "1",
            used_memory: number("used_memory"),
            max_memory: number("maxmemory"),
            policy: text("maxmemory_policy"),
            append_only: text("aof_enabled") == "1",
            persistence_works: went_well("aof_last_write_status") && went_well("rdb_last_bgsave_status"),
            clock: None,
            refusals: Vec::new(),
        }
    }
}

/// Checks a Redis.
#[must_use]
pub fn redis(facts: &RedisFacts) -> Vec<Check> {
    vec![
        version(facts),
        role(facts),
        eviction(facts),
        memory(facts),
        persistence(facts),
        permission(facts),
    ]
}

fn version(facts: &RedisFacts) -> Check {
    const NAME: &str = "redis.version";
    let mut parts = facts
        .version
        .split('.')
        .map_while(|part| part.parse::<u32>().ok());
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    let seen = format!("Redis {}", facts.version);
    match found >= OLDEST_VERSION {
        true => Check::passed(NAME, seen),
        false => Check::found(
            NAME,
            seen,
            "versions below 6.2 lack commands that we use",
            "use Redis 6.2 or newer, or Valkey",
        ),
    }
}

fn role(facts: &RedisFacts) -> Check {
    const NAME: &str = "redis.primary";
    match (facts.role.as_str(), facts.cluster) {
        (_, true) => Check::found(
            NAME,
            "a node of a Redis Cluster",
            "streams are spread over nodes that we do not follow",
            "use a Redis without cluster mode",
        ),
        ("slave" | "replica", _) => Check::found(
            NAME,
            "a replica",
            "it takes no writes, and what it is told after a failover may be lost",
            "point REDIS_URL at the primary",
        ),
        _ => Check::passed(NAME, "a primary"),
    }
}

fn eviction(facts: &RedisFacts) -> Check {
    const NAME: &str = "redis.eviction";
    let seen = format!("maxmemory-policy {}", facts.policy);
    match facts.policy.starts_with("allkeys") {
        false => Check::passed(NAME, seen),
        true => Check::found(
            NAME,
            seen,
            "a full server drops whole streams to make room: events are lost before anybody read them",
            "set maxmemory-policy noeviction; a full server then refuses, and the relay waits",
        ),
    }
}

fn memory(facts: &RedisFacts) -> Check {
    const NAME: &str = "redis.memory";
    if facts.max_memory == 0 {
        return Check::passed(
            NAME,
            format!("{} MiB used, no limit set", facts.used_memory >> 20),
        );
    }
    let share = facts.used_memory as f64 / facts.max_memory as f64;
    let seen = format!("{:.0} % of maxmemory used", share * 100.0);
    match share < FULL_MEMORY {
        true => Check::passed(NAME, seen),
        false => Check::found(
            NAME,
            seen,
            "when it is full every stream waits until there is room",
            "raise maxmemory, or find the group that does not acknowledge: XINFO GROUPS <stream>",
        ),
    }
}

fn persistence(facts: &RedisFacts) -> Check {
    const NAME: &str = "redis.persistence";
    match (facts.append_only, facts.persistence_works) {
        (true, true) => Check::passed(NAME, "appendonly yes"),
        (_, false) => Check::found(
            NAME,
            "the last write to the append-only file or the last snapshot failed",
            "the server may refuse writes, and a restart loses what it did not save",
            "look at its log and at the space on its disk",
        ),
        (false, true) => Check::found(
            NAME,
            "appendonly no",
            "a restart loses the entries since the last snapshot; the loss is noticed and said, but must be repaired",
            "set appendonly yes (appendfsync everysec)",
        ),
    }
}

fn permission(facts: &RedisFacts) -> Check {
    const NAME: &str = "redis.permission";
    match facts.refusals.as_slice() {
        [] => Check::passed(NAME, "XADD, XRANGE and MULTI are allowed"),
        refusals => Check::found(
            NAME,
            refusals.join("; "),
            "publishing would fail the same way",
            "mend what the server says; a user of ours needs +@stream +@transaction +@read on the keys of our prefix",
        ),
    }
}
