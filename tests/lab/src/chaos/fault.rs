//! Pure: what can be done to the whole, to whom, and for how long.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use system_tests::Fault;

/// Whose connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// Relays to Postgres.
    RelayPostgres,
    /// Relays to Redis.
    RelayRedis,
    /// Members to Postgres.
    MemberPostgres,
    /// Members to Redis.
    MemberRedis,
    /// Producers to Postgres.
    ProducerPostgres,
    /// The standby of Postgres to its primary.
    StandbyPostgres,
    /// The replica of Redis to its primary.
    ReplicaRedis,
}

impl Link {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::RelayPostgres,
        Self::RelayRedis,
        Self::MemberPostgres,
        Self::MemberRedis,
        Self::ProducerPostgres,
        Self::StandbyPostgres,
        Self::ReplicaRedis,
    ];

    /// Whether it leads to Redis; the others lead to Postgres.
    #[must_use]
    pub fn is_redis(self) -> bool {
        matches!(self, Self::RelayRedis | Self::MemberRedis | Self::ReplicaRedis)
    }
}

/// Which processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// The relay that leads, as the row of its lease says.
    Leader,
    /// The relays that do not.
    Relay,
    /// The members of both groups.
    Member,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// SIGKILL to a process.
    Kill(Party),
    /// SIGSTOP, then SIGCONT.
    Pause(Party),
    /// SIGTERM.
    Terminate(Party),
    /// The server ends a session.
    EndBackend(Party),
    /// Connections end.
    Cut(Link),
    /// Connections are reset.
    Reset(Link),
    /// One connection ends, and no new one is let in; the others stay.
    Reject(Link),
    /// Connections end, and new ones are accepted and led nowhere.
    Hang(Link),
    /// Nothing passes.
    Hold(Link),
    /// What is asked does not arrive.
    HoldRequests(Link),
    /// What is answered does not arrive.
    HoldReplies(Link),
    /// The answer is lost with the connection.
    LoseReply(Link),
    /// Everything is late.
    Delay(Link),
    /// Little passes at a time.
    Throttle(Link),
    /// Connections are reset in the middle of something.
    CutMidway(Link),
    /// Postgres stops as in a crash, and starts again.
    PostgresCrash,
    /// Postgres stands still with all its sessions.
    PostgresPause,
    /// Postgres crashes, and its synchronous standby takes its place; another one is made.
    PostgresFailover,
    /// Redis is killed, and starts again with its append-only file.
    RedisKill,
    /// Redis stands still.
    RedisPause,
    /// Redis has no memory left.
    RedisFull,
    /// Redis takes no writes.
    RedisReadOnly,
    /// Redis hands over to its replica, which has everything; they change places.
    RedisFailover,
    /// A stranger holds a transaction open that wrote.
    Stranger,
    /// A stranger holds the rows that relays renew.
    LockedLeases,
    /// Redis forgets everything.
    RedisFlush,
    /// Redis forgets one stream.
    RedisDelete,
    /// Redis is killed, and a replica that lacks the end takes its place.
    RedisStaleFailover,
}

impl Kind {
    /// Every kind that takes nothing away from Redis.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for party in [Party::Leader, Party::Relay, Party::Member] {
            all.extend([Self::Kill, Self::Pause, Self::Terminate].map(|kind| kind(party)));
        }
        all.extend([Party::Relay, Party::Member].map(Self::EndBackend));
        for link in Link::ALL {
            let kinds = [
                Self::Cut,
                Self::Reset,
                Self::Reject,
                Self::Hang,
                Self::Hold,
                Self::HoldRequests,
                Self::HoldReplies,
                Self::LoseReply,
                Self::Delay,
                Self::Throttle,
                Self::CutMidway,
            ];
            all.extend(kinds.map(|kind| kind(link)));
        }
        all.extend([
            Self::PostgresCrash,
            Self::PostgresPause,
            Self::PostgresFailover,
            Self::RedisKill,
            Self::RedisPause,
            Self::RedisFull,
            Self::RedisReadOnly,
            Self::RedisFailover,
            Self::Stranger,
            Self::LockedLeases,
        ]);
        all
    }

    /// Kinds by which Redis loses data: then entries are put out again, and a stream has events twice.
    #[must_use]
    pub fn losses() -> [Self; 3] {
        [Self::RedisFlush, Self::RedisDelete, Self::RedisStaleFailover]
    }

    /// The kinds of a run.
    #[must_use]
    pub fn of_a_run(losses: bool) -> Vec<Self> {
        let mut kinds = Self::all();
        if losses {
            kinds.extend(Self::losses());
        }
        kinds
    }

    /// How often it is drawn, beside the others: there are many links, and one Postgres.
    #[must_use]
    pub fn weight(self) -> u32 {
        match self {
            // As many at the leader as at the two others together.
            Self::Kill(_) | Self::Pause(_) | Self::Terminate(_) => 7,
            Self::EndBackend(_) => 8,
            Self::PostgresCrash | Self::RedisKill => 6,
            Self::PostgresPause | Self::RedisPause | Self::RedisFull | Self::RedisReadOnly => 4,
            Self::PostgresFailover | Self::RedisFailover => 5,
            Self::Stranger | Self::LockedLeases => 5,
            Self::RedisFlush | Self::RedisDelete | Self::RedisStaleFailover => 3,
            // Whoever takes over later is what these are about; the first of them also holds commits up.
            kind => match kind.on_the_wire() {
                Some((Link::StandbyPostgres | Link::ReplicaRedis, _)) => 1,
                _ => 2,
            },
        }
    }

    /// The shortest and the longest time that it lasts, in milliseconds.
    #[must_use]
    pub fn lasts(self) -> (u64, u64) {
        match self {
            Self::Kill(_) | Self::Terminate(_) | Self::EndBackend(_) => (0, 0),
            Self::RedisFlush | Self::RedisDelete => (0, 0),
            Self::PostgresFailover | Self::RedisFailover => (0, 0),
            Self::Cut(_) | Self::Reset(_) | Self::LoseReply(_) | Self::CutMidway(_) => (50, 400),
            Self::PostgresCrash | Self::RedisKill => (50, 700),
            // Longer than its lease, always: it wakes up as one that was replaced.
            Self::Pause(Party::Leader) => (1_100, 2_500),
            // Longer than the leases, now and then.
            Self::Pause(_) | Self::Stranger => (300, 2_000),
            _ => (200, 1_500),
        }
    }

    /// What it works on: one fault at a time at each.
    #[must_use]
    pub fn subjects(self) -> Vec<Subject> {
        match self {
            // Whoever takes the place of a server must have followed it.
            Self::PostgresFailover => vec![Subject::Postgres, Subject::Link(Link::StandbyPostgres)],
            Self::RedisFailover | Self::RedisStaleFailover => {
                vec![Subject::Redis, Subject::Link(Link::ReplicaRedis)]
            }
            kind => vec![kind.subject()],
        }
    }

    fn subject(self) -> Subject {
        match self {
            Self::Kill(Party::Member) | Self::Pause(Party::Member) | Self::Terminate(Party::Member) => {
                Subject::Members
            }
            Self::Kill(_) | Self::Pause(_) | Self::Terminate(_) => Subject::Relays,
            Self::Cut(link)
            | Self::Reset(link)
            | Self::Reject(link)
            | Self::Hang(link)
            | Self::Hold(link)
            | Self::HoldRequests(link)
            | Self::HoldReplies(link)
            | Self::LoseReply(link)
            | Self::Delay(link)
            | Self::Throttle(link)
            | Self::CutMidway(link) => Subject::Link(link),
            // Each needs a server that answers.
            Self::PostgresCrash
            | Self::PostgresPause
            | Self::PostgresFailover
            | Self::Stranger
            | Self::LockedLeases
            | Self::EndBackend(_) => Subject::Postgres,
            Self::RedisKill
            | Self::RedisPause
            | Self::RedisFull
            | Self::RedisReadOnly
            | Self::RedisFailover
            | Self::RedisFlush
            | Self::RedisDelete
            | Self::RedisStaleFailover => Subject::Redis,
        }
    }

    /// Whether it works on Redis itself.
    #[must_use]
    pub fn is_at_redis(self) -> bool {
        self.subjects().contains(&Subject::Redis)
    }

    /// Whether Redis loses data by it.
    #[must_use]
    pub fn is_loss(self) -> bool {
        Self::losses().contains(&self)
    }

    /// How many open connections end as it begins, besides what the proxy does by itself.
    #[must_use]
    pub fn ends_at_first(self) -> u64 {
        match self {
            Self::Reject(_) => 1,
            Self::Hang(_) => u64::MAX,
            _ => 0,
        }
    }

    /// The proxy's part in it.
    #[must_use]
    pub fn on_the_wire(self) -> Option<(Link, Fault)> {
        let late = Duration::from_millis(20);
        Some(match self {
            Self::Cut(link) => (link, Fault::Cut),
            Self::Reset(link) => (link, Fault::Reset),
            Self::Reject(link) => (link, Fault::Reject),
            Self::Hang(link) => (link, Fault::Hang),
            Self::Hold(link) => (link, Fault::Hold),
            Self::HoldRequests(link) => (link, Fault::HoldRequests),
            Self::HoldReplies(link) => (link, Fault::HoldReplies),
            Self::LoseReply(link) => (link, Fault::FailAfterWrite),
            Self::Delay(link) => (link, Fault::Jitter(late, 2 * late)),
            Self::Throttle(link) => (link, Fault::Throttle(40_000)),
            Self::CutMidway(link) => (link, Fault::CutAfter(3_000)),
            _ => return None,
        })
    }
}

/// What a fault works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// The relays, whoever leads.
    Relays,
    /// The members of both groups.
    Members,
    /// Connections.
    Link(Link),
    /// The primary of Postgres.
    Postgres,
    /// The primary of Redis.
    Redis,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_value(self).map_err(|_| fmt::Error)?;
        match text {
            serde_json::Value::String(word) => f.write_str(&word),
            serde_json::Value::Object(parts) => {
                for (word, of) in parts {
                    write!(f, "{word} {}", of.as_str().unwrap_or_default())?;
                }
                Ok(())
            }
            _ => Err(fmt::Error),
        }
    }
}
