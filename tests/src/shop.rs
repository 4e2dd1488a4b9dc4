//! A consumer without code: its database, its function that fails on purpose, and where it put every event.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::{Executor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::patience::until;
use crate::relay::RelayOptions;
use crate::witness::Ending;
use crate::{Database, Failure, Journal, Relay, Result, Schema, World};

/// The topic it reads.
pub const TOPIC: &str = "orders.placed";
/// The group its members are of.
pub const GROUP: &str = "stock";

/// Chance, seed and event decide: 2 % of the events are poisoned until they are mended, and 5 % of the attempts fail for
/// another reason, each attempt anew. Sequences count what a rolled back attempt would take away. An effect may be there
/// twice, or the test could not see it.
const FUNCTION: &str = "
    create table public.setting (seed bigint not null, mended boolean not null default false);
    create table public.effect (n bigint generated always as identity primary key, id uuid not null, applied_at timestamptz not null default clock_timestamp());
    create sequence public.poisoned_attempts;
    create sequence public.failed_attempts;
    create function public.chance(seed bigint, what text) returns integer immutable language sql
        return abs(hashtextextended(what, seed) % 100);
    create function public.is_poisoned(seed bigint, id uuid) returns boolean immutable language sql
        return public.chance(seed, id::text) < 2;
    create function public.apply_order(event json) returns void language plpgsql as $$
    declare
        id uuid := event ->> 'id';
        setting public.setting;
    begin
        -- Whoever mends waits for all that began before.
        perform pg_advisory_xact_lock_shared(4);
        select * into setting from public.setting;
        if not setting.mended and public.is_poisoned(setting.seed, id) then
            perform nextval('public.poisoned_attempts');
            raise exception 'this order cannot be taken' using errcode = 'OB422';
        end if;
        if public.chance(setting.seed, id || ' ' || pg_current_xact_id()) < 5 then
            perform nextval('public.failed_attempts');
            raise exception 'the price list is being written' using errcode = 'P0001';
        end if;
        insert into public.effect (id) values (id);
    end
    $$;";

/// A transaction of a member takes a second, or as long as it stands still.
const MEND_LIMIT: Duration = Duration::from_secs(120);

/// The consumer's side of a test.
#[derive(Debug)]
pub struct Shop {
    database: Database,
    pool: PgPool,
}

/// How much happened, in the words of the function and of the library's tables.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Attempts at poisoned events.
    pub poisoned_attempts: i64,
    /// Attempts that failed for another reason.
    pub failed_attempts: i64,
    /// Events with their effect.
    pub applied: i64,
    /// Events given up.
    pub dead: i64,
    /// Events that wait behind one given up.
    pub parked: i64,
    /// Dead letters that went back and were applied.
    pub redriven: i64,
    /// Leases that were taken.
    pub takeovers: i64,
    /// Lanes that go on by themselves.
    pub busy: i64,
}

impl Shop {
    /// Makes its database and its function; seed and event decide what fails.
    ///
    /// # Errors
    /// When a server does not answer.
    pub async fn open(world: &World, seed: i64) -> Result<Self> {
        let database = world.another_database(Schema::Inbox).await?;
        let pool = database.pool().await?;
        pool.execute(FUNCTION).await?;
        sqlx::query("insert into public.setting (seed) values ($1)")
            .bind(seed)
            .execute(&pool)
            .await?;
        Ok(Self { database, pool })
    }

    /// A member's command line, without its name.
    #[must_use]
    pub fn member(&self, world: &World) -> RelayOptions {
        let call = [
            "consume",
            "--group",
            GROUP,
            "--topic",
            TOPIC,
            "--call",
            "public.apply_order",
        ];
        Relay::command(&call)
            .set("DATABASE_URL", self.database.url())
            .set("REDIS_URL", world.redis_url())
            .set("OUTBOX_CONSUME_LEASE_TTL", "1s")
            // Nothing but poison may fail so often.
            .set("OUTBOX_CONSUME_ATTEMPTS", 10)
            .set("OUTBOX_CONSUME_BACKOFF_MIN", "20ms")
            .set("OUTBOX_CONSUME_BACKOFF_MAX", "500ms")
    }

    /// Its database.
    #[must_use]
    pub fn url(&self) -> &str {
        self.database.url()
    }

    /// From now on nothing is poisoned; what found it so has ended: an attempt that failed gave its locks back, and the transaction that
    /// records that may go on to other events.
    ///
    /// # Errors
    /// When the database does not answer, or such a transaction does not end.
    pub async fn mend(&self) -> Result {
        let mut transaction = self.pool.begin().await?;
        transaction.execute("select pg_advisory_xact_lock(4)").await?;
        let mended_at: OffsetDateTime =
            sqlx::query_scalar("update public.setting set mended = true returning clock_timestamp()")
                .fetch_one(&mut *transaction)
                .await?;
        transaction.commit().await?;
        until(
            "what began before the mending has ended",
            MEND_LIMIT,
            async || {
                let is_over: bool = sqlx::query_scalar(
                    "select not exists (select from pg_stat_activity
                 where datname = current_database() and pid <> pg_backend_pid() and xact_start <= $1)",
                )
                .bind(mended_at)
                .fetch_one(&self.pool)
                .await?;
                Ok(is_over.then_some(()))
            },
        )
        .await
    }

    /// How much happened so far.
    ///
    /// # Errors
    /// When a server does not answer.
    pub async fn seen(&self) -> Result<Seen> {
        let (poisoned_attempts, failed_attempts, applied, dead, parked, redriven, takeovers, busy) = sqlx::query_as(
            "select (select case when is_called then last_value else 0 end from public.poisoned_attempts),
                    (select case when is_called then last_value else 0 end from public.failed_attempts),
                    (select count(distinct id) from public.effect),
                    (select count(*) from outbox.dead_letter where state = 'dead'),
                    (select count(*) from outbox.parked_event),
                    (select count(*) from outbox.dead_letter where state = 'applied' and redrives > 0),
                    (select coalesce(sum(epoch), 0)::bigint from outbox.consumer_lease),
                    (select count(*) from outbox.parked_lane where state <> 'dead')",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Seen {
            poisoned_attempts,
            failed_attempts,
            applied,
            dead,
            parked,
            redriven,
            takeovers,
            busy,
        })
    }

    /// Waits until so many events are somewhere and nothing is on its way any more.
    ///
    /// # Errors
    /// When that does not come about within the limit.
    pub async fn settled(&self, events: usize, limit: Duration) -> Result<Seen> {
        let events = i64::try_from(events)?;
        let mut last = None;
        let wait = until("everything is applied, given up or parked", limit, async || {
            let seen = self.seen().await?;
            last = Some(seen);
            let is_settled = seen.applied + seen.dead + seen.parked >= events && seen.busy == 0;
            Ok(is_settled.then_some(seen))
        });
        let outcome = wait.await;
        outcome.map_err(|failure| Failure::new(format!("{failure}; {events} events, and {last:?}")))
    }

    /// Where every event is.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn ending(&self) -> Result<Ending> {
        let mut ids = Vec::new();
        for query in [
            "select id from public.effect order by n",
            "select id::uuid from outbox.dead_letter where state = 'dead' order by number",
            "select id::uuid from outbox.parked_event order by place",
        ] {
            ids.push(sqlx::query_scalar(query).fetch_all(&self.pool).await?);
        }
        let [applied, dead, parked] =
            <[Vec<Uuid>; 3]>::try_from(ids).map_err(|_| Failure::new("three questions, three answers"))?;
        Ok(Ending {
            applied,
            dead,
            parked,
        })
    }

    /// The poisoned ones of these events.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn poison(&self, journal: &Journal) -> Result<HashSet<Uuid>> {
        let ids: Vec<Uuid> = journal.committed().map(|fact| fact.id).collect();
        let poisoned: Vec<Uuid> = sqlx::query_scalar(
            "select id from unnest($1::uuid[]) as id, public.setting where public.is_poisoned(seed, id)",
        )
        .bind(ids)
        .fetch_all(&self.pool)
        .await?;
        Ok(poisoned.into_iter().collect())
    }
}
