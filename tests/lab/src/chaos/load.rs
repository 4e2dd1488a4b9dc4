//! The producers: three that append by plain SQL, one of them at one key without rest, and one by the library, which moves money
//! and beats.

use std::collections::BTreeMap;
use std::time::Duration;

use outbox_core::append::{NewEvent, append_many};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use system_tests::journal::{Fact, Journal, Outcome};
use system_tests::{Login, Producers, Result, Workload};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::fault::Link;
use super::ground::{ACCOUNTS, BANK, Ground, LISTS, POISONED, PULSE, STORM};

const PAUSE: Duration = Duration::from_millis(60);
const RETRY: Duration = Duration::from_millis(50);
/// No statement of a producer takes this long, except behind a fault.
const LIMIT: Duration = Duration::from_secs(5);

/// What the bank's producer did, beside its journal.
#[derive(Debug, Default)]
pub(super) struct Bank {
    pub(super) journal: Journal,
    /// Of each transfer: from, to, amount.
    pub(super) transfers: BTreeMap<Uuid, (i32, i32, i64)>,
    /// When each beat was committed, by the database's clock.
    pub(super) beats: BTreeMap<Uuid, OffsetDateTime>,
}

/// All producers at work.
pub(super) struct Load {
    lists: Producers,
    storm: Producers,
    bank: JoinHandle<Result<Bank>>,
    banked: watch::Receiver<usize>,
    stop: CancellationToken,
}

impl Load {
    pub(super) async fn start(ground: &Ground, seed: u64) -> Result<Self> {
        let through = ground.postgres(Link::ProducerPostgres, ground.world.database_url())?;
        // Counters are made by the first; the second finds them, and its one key beside them.
        let lists = Workload {
            writers: 3,
            keys: 120,
            topics: vec![POISONED.to_owned(), LISTS.to_owned()],
            seed,
            pause: Duration::from_millis(35),
            url: Some(through.clone()),
            ..Workload::default()
        };
        let lists = lists.start(ground.world.log()).await?;
        let storm = Workload {
            writers: 1,
            keys: 1,
            topics: vec![STORM.to_owned()],
            seed: seed.wrapping_add(100),
            pause: Duration::from_millis(8),
            key_prefix: "storm".to_owned(),
            url: Some(through.clone()),
            ..Workload::default()
        };
        let storm = storm.start(ground.world.log()).await?;
        let stop = CancellationToken::new();
        let (sender, banked) = watch::channel(0);
        ground
            .world
            .connect()
            .await?
            .execute(
                "create table public.moved (number bigint not null); insert into public.moved values (0)",
            )
            .await?;
        let clerk = Clerk {
            url: Login::Producer.database_url(&through),
            random: StdRng::seed_from_u64(seed.wrapping_add(200)),
            done: Bank::default(),
            beat: 0,
            banked: sender,
        };
        let bank = tokio::spawn(clerk.run(stop.clone()));
        Ok(Self {
            lists,
            storm,
            bank,
            banked,
            stop,
        })
    }

    /// Transactions that were committed so far.
    pub(super) fn committed(&self) -> usize {
        self.lists.committed() + self.storm.committed() + *self.banked.borrow()
    }

    /// Lets everybody finish.
    pub(super) async fn end(self) -> Result<(Journal, Bank)> {
        self.stop.cancel();
        let mut journal = self.lists.stop().await?;
        journal.merge(self.storm.stop().await?);
        let mut bank = self.bank.await??;
        journal.merge(std::mem::take(&mut bank.journal));
        Ok((journal, bank))
    }
}

/// Appends by the library: a transfer and a beat in one transaction.
struct Clerk {
    url: String,
    random: StdRng,
    done: Bank,
    beat: i64,
    banked: watch::Sender<usize>,
}

impl Clerk {
    async fn run(mut self, stop: CancellationToken) -> Result<Bank> {
        let mut connection = None;
        while !stop.is_cancelled() {
            let usable = match connection.take() {
                Some(connection) => Some(connection),
                None => tokio::time::timeout(LIMIT, PgConnection::connect(&self.url))
                    .await
                    .ok()
                    .and_then(std::result::Result::ok),
            };
            if let Some(mut usable) = usable
                && self.work(&mut usable).await
            {
                connection = Some(usable);
                tokio::time::sleep(PAUSE).await;
            } else {
                tokio::time::sleep(RETRY).await;
            }
        }
        Ok(self.done)
    }

    /// One transaction; false when the connection is of no use any more.
    async fn work(&mut self, connection: &mut PgConnection) -> bool {
        let mut facts = Vec::new();
        let prepared = tokio::time::timeout(LIMIT, self.prepare(connection, &mut facts)).await;
        let outcome = match prepared {
            Ok(Ok((transfer, at))) => match tokio::time::timeout(LIMIT, connection.execute("commit")).await {
                Ok(Ok(_)) => {
                    if let Some(beat) = facts.iter().find(|fact: &&Fact| fact.topic == PULSE) {
                        self.done.beats.insert(beat.id, at);
                    }
                    self.note(&facts, transfer);
                    self.banked.send_modify(|count| *count += 1);
                    Outcome::Committed
                }
                // It may stand: the account books of the journal need it then.
                _ => {
                    self.note(&facts, transfer);
                    Outcome::Unknown
                }
            },
            _ => Outcome::RolledBack,
        };
        for fact in facts {
            self.done.journal.record(fact, outcome);
        }
        outcome == Outcome::Committed
    }

    fn note(&mut self, facts: &[Fact], transfer: (i32, i32, i64)) {
        if let Some(fact) = facts.iter().find(|fact| fact.topic == BANK) {
            self.done.transfers.insert(fact.id, transfer);
        }
    }

    async fn prepare(
        &mut self,
        connection: &mut PgConnection,
        facts: &mut Vec<Fact>,
    ) -> Result<((i32, i32, i64), OffsetDateTime)> {
        connection.execute("begin").await?;
        let number: i64 = sqlx::query_scalar("update public.moved set number = number + 1 returning number")
            .fetch_one(&mut *connection)
            .await?;
        let from = self.random.random_range(0..ACCOUNTS);
        let to = (from + self.random.random_range(1..ACCOUNTS)) % ACCOUNTS;
        let amount = self.random.random_range(1..50);
        let data = json!({ "from": from, "to": to, "amount": amount });
        self.beat += 1;
        let mut events = Vec::new();
        for (topic, key, data) in [
            (BANK, format!("account-{from}"), data),
            (PULSE, "pulse".to_owned(), json!({ "beat": self.beat })),
        ] {
            let id = Uuid::now_v7();
            facts.push(Fact {
                id,
                topic: topic.to_owned(),
                key: format!("{topic}/{key}"),
                number,
            });
            events.push(NewEvent::new(topic).key(key).id(id).json(&data));
        }
        append_many(&mut *connection, events).await?;
        let at: OffsetDateTime = sqlx::query_scalar(AssertSqlSafe("select clock_timestamp()".to_owned()))
            .fetch_one(&mut *connection)
            .await?;
        Ok(((from, to, amount), at))
    }
}
