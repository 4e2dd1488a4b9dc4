//! What a run happens on: servers of its own with a standby and a replica, something in every wire, and two consumers.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Executor, PgPool};
use system_tests::login::equipped;
use system_tests::relay::RelayOptions;
use system_tests::shop::Shop;
use system_tests::{Database, Failure, Invocation, Proxy, Relay, Result, Schema, World};
use xtask::servers::{Postgres, Redis};

use super::failover::{Standby, holds_commits_up, redis_options, standby_options};
use super::fault::Link;
use super::leader::Watch;

const RELAYS: usize = 3;
/// A standby must allow as many as its primary.
pub(super) const CONNECTIONS: u32 = 300;
const MEMBERS_OF_EACH: usize = 2;
/// The topic whose events fail and are poisoned.
pub(super) const POISONED: &str = system_tests::shop::TOPIC;
/// Lists, the bank, one key that never rests, and the beat by which it is told when everything moves again.
pub(super) const LISTS: &str = "payments.taken";
pub(super) const BANK: &str = "bank.moved";
pub(super) const STORM: &str = "storm.blew";
pub(super) const PULSE: &str = "pulse.beat";
pub(super) const AUDITED: [&str; 4] = [LISTS, BANK, STORM, PULSE];
/// The other group.
pub(super) const AUDIT: &str = "audit";
pub(super) const ACCOUNTS: i32 = 12;
pub(super) const OPENING: i64 = 1_000;

/// An effect for each event, the accounts of the bank, and a counter per key: each can be told from the journal alone.
const AUDIT_FUNCTION: &str = "
    create table public.effect (n bigint generated always as identity primary key, id uuid not null, topic text not null,
        applied_at timestamptz not null default clock_timestamp());
    create table public.account (number integer primary key, balance bigint not null);
    create table public.tally (topic text, key text, events bigint not null, primary key (topic, key));
    create function public.audit(event json) returns void language plpgsql as $$
    declare
        data json := event -> 'data';
        topic text := event ->> 'type';
    begin
        insert into public.effect (id, topic) values ((event ->> 'id')::uuid, topic);
        insert into public.tally as tally values (topic, event ->> 'partitionkey', 1)
            on conflict on constraint tally_pkey do update set events = tally.events + 1;
        if topic = 'bank.moved' then
            update public.account set balance = balance - (data ->> 'amount')::bigint where number = (data ->> 'from')::integer;
            update public.account set balance = balance + (data ->> 'amount')::bigint where number = (data ->> 'to')::integer;
        end if;
    end
    $$;";

/// Servers, wires and consumers' databases.
pub(super) struct Ground {
    pub(super) world: World,
    pub(super) shop: Shop,
    pub(super) audit: Database,
    pub(super) audit_pool: PgPool,
    pub(super) watch: Watch,
    wires: BTreeMap<Link, Proxy>,
    /// What looks on has ways of its own, without faults, which lead to whoever is the primary.
    fronts: Fronts,
    pub(super) standby: Option<Standby>,
    pub(super) replica: Redis,
}

struct Fronts {
    postgres: Proxy,
    redis: Proxy,
}

impl Ground {
    /// Starts everything but the processes.
    pub(super) async fn prepare(seed: u64) -> Result<Self> {
        let postgres = Postgres::options()
            .set("max_connections", CONNECTIONS)
            .set("wal_keep_size", "256MB");
        let mut world = World::with_own_servers(postgres, redis_options()).await?;
        let (postgres_port, redis_port) = (world.postgres()?.port(), world.redis_server()?.port());
        let mut wires = BTreeMap::new();
        for link in Link::ALL {
            let port = if link.is_redis() {
                redis_port
            } else {
                postgres_port
            };
            wires.insert(link, Proxy::before(port).await?);
        }
        let fronts = Fronts {
            postgres: Proxy::before(postgres_port).await?,
            redis: Proxy::before(redis_port).await?,
        };
        world.look_through(fronts.postgres.port(), fronts.redis.port())?;
        let through = |link: Link| wires.get(&link).map_or(0, Proxy::port);
        let standby = world
            .postgres()?
            .standby(through(Link::StandbyPostgres), standby_options())?;
        // From here on a commit is answered when it is at both.
        holds_commits_up(&world.postgres()?.url("postgres")).await?;
        // Told, and not configured: it must not come back as a replica when it is the primary and crashes.
        let replica = equipped(redis_options()).start()?;
        replica.command(&format!("REPLICAOF 127.0.0.1 {}", through(Link::ReplicaRedis)))?;
        let shop = Shop::open(&world, seed.cast_signed()).await?;
        let audit = world.another_database(Schema::Inbox).await?;
        let audit_pool = audit.pool().await?;
        audit_pool.execute(AUDIT_FUNCTION).await?;
        let accounts = format!(
            "insert into public.account select number, {OPENING} from generate_series(0, {ACCOUNTS} - 1) number"
        );
        audit_pool.execute(AssertSqlSafe(accounts)).await?;
        for (topic, partitions) in [(POISONED, "2"), (LISTS, "2")] {
            let answer =
                Invocation::of(&world, &["topic", "set", topic, "--partitions", partitions])?.ask()?;
            if answer.code != 0 {
                return Err(Failure::new(format!("topic set says {answer:?}")));
            }
        }
        Ok(Self {
            watch: Watch::over(world.database_url()),
            world,
            shop,
            audit,
            audit_pool,
            wires,
            fronts,
            standby: Some(Standby::Follows(Box::new(standby))),
            replica,
        })
    }

    /// From now on everybody finds Postgres there.
    pub(super) fn lead_postgres_to(&self, port: u16) {
        let wires = self.wires.iter().filter(|(link, _)| !link.is_redis());
        for wire in wires.map(|(_, wire)| wire).chain([&self.fronts.postgres]) {
            wire.lead_to(port);
            wire.end_open(u64::MAX);
        }
    }

    /// From now on everybody finds Redis there.
    pub(super) fn lead_redis_to(&self, port: u16) {
        let wires = self.wires.iter().filter(|(link, _)| link.is_redis());
        for wire in wires.map(|(_, wire)| wire).chain([&self.fronts.redis]) {
            wire.lead_to(port);
            wire.end_open(u64::MAX);
        }
    }

    /// How often relays, members and producers wanted something of Redis, or else of Postgres, so far.
    pub(super) fn knocks(&self, of_redis: bool) -> u64 {
        let wires = self.wires.iter();
        wires
            .filter(|(link, _)| link.is_redis() == of_redis)
            .filter(|(link, _)| !matches!(link, Link::StandbyPostgres | Link::ReplicaRedis))
            .map(|(_, wire)| wire.knocks())
            .sum()
    }

    /// What is in this wire.
    pub(super) fn wire(&self, link: Link) -> Result<&Proxy> {
        self.wires
            .get(&link)
            .ok_or_else(|| Failure::new("there is no such wire"))
    }

    /// A database's address through a wire; `front`: without faults.
    pub(super) fn postgres(&self, link: Link, front: &str) -> Result<String> {
        Ok(self.wire(link)?.url(front, self.fronts.postgres.port()))
    }

    fn redis(&self, link: Link) -> Result<String> {
        Ok(self
            .wire(link)?
            .url(self.world.redis_url(), self.fronts.redis.port()))
    }

    /// The relays' command lines.
    pub(super) fn relays(&self) -> Result<Vec<RelayOptions>> {
        let options = Relay::of(&self.world)
            .set(
                "DATABASE_URL",
                self.postgres(Link::RelayPostgres, self.world.database_url())?,
            )
            .set("REDIS_URL", self.redis(Link::RelayRedis)?)
            .set("OUTBOX_REDIS_RESPONSE_TIMEOUT", "2s")
            .set("OUTBOX_REDIS_CONNECT_TIMEOUT", "2s")
            .set("OUTBOX_PUBLISH_BACKOFF_MAX", "500ms")
            .set("OUTBOX_PUBLISH_LOOK_EVERY", "500ms")
            .set("OUTBOX_TAIL_SLOW_POLL", "1s");
        Ok(vec![options; RELAYS])
    }

    /// The members' command lines.
    pub(super) fn members(&self) -> Result<Vec<RelayOptions>> {
        let mut line = vec!["consume", "--group", AUDIT, "--call", "public.audit"];
        for topic in AUDITED {
            line.extend(["--topic", topic]);
        }
        let shop = self.shop.member(&self.world).set(
            "DATABASE_URL",
            self.postgres(Link::MemberPostgres, self.shop.url())?,
        );
        let audit = Relay::command(&line)
            .set(
                "DATABASE_URL",
                self.postgres(Link::MemberPostgres, self.audit.url())?,
            )
            .set("OUTBOX_CONSUME_LEASE_TTL", "1s")
            .set("OUTBOX_CONSUME_ATTEMPTS", 100);
        let redis = self.redis(Link::MemberRedis)?;
        let common = |options: RelayOptions| {
            options
                .set("REDIS_URL", &redis)
                .set("OUTBOX_CONSUME_DISCOVERY", "1s")
                .set("OUTBOX_CONSUME_BACKOFF_MIN", "20ms")
                .set("OUTBOX_CONSUME_BACKOFF_MAX", "300ms")
        };
        let mut members = vec![common(shop); MEMBERS_OF_EACH];
        members.extend(vec![common(audit); MEMBERS_OF_EACH]);
        Ok(members)
    }
}
