//! Producers that append by a schedule and wait for nobody: each transaction has its time, and what comes late because the one before
//! took long is late by the schedule's clock too (no coordinated omission).
//!
//! A key belongs to one connection, so that its order of commit is known: that of its numbers.

use std::time::{Duration, SystemTime};

use system_tests::journal::{Fact, Outcome};
use system_tests::{Failure, Journal, Login, Result, World};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// With the payload's other bytes about 200.
const FILLING_BYTES: i32 = 150;
const KEYS_OF_EACH: u64 = 25;
/// Until the first transaction: sessions are open and statements prepared by then.
const LEAD: Duration = Duration::from_millis(200);

const APPEND: &str = "
    select outbox.append($1, json_build_object('number', number, 'filling', repeat('x', $5)), key => key, id => id)
    from unnest($2::bigint[], $3::text[], $4::uuid[]) event (number, key, id)";

/// What is appended, and when.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) topic: &'static str,
    /// Events a second.
    pub(crate) rate: u64,
    /// Events of one transaction.
    pub(crate) each: u64,
    /// Sessions that take turns.
    pub(crate) connections: u64,
    /// Events in all; without end until it is stopped where none.
    pub(crate) events: Option<u64>,
}

/// Producers at work.
pub(crate) struct Producing {
    stop: CancellationToken,
    tasks: JoinSet<Result<(Vec<Appended>, Client)>>,
    schedule: Schedule,
    zero: Instant,
    zero_on_the_wall: SystemTime,
}

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Appended {
    pub(crate) number: u64,
    pub(crate) id: Uuid,
    pub(crate) key: String,
    /// When its transaction was to begin.
    pub(crate) due: Instant,
    /// When it did.
    pub(crate) begun: Instant,
    /// When the answer to its commit was there.
    pub(crate) committed: Instant,
}

/// What they did.
pub(crate) struct Produced {
    pub(crate) events: Vec<Appended>,
    /// Number 0 was due then, by the clock that the server has too.
    zero_on_the_wall: SystemTime,
    zero: Instant,
    /// Open until this is dropped, so that what they used can be asked of them.
    _sessions: Vec<Client>,
}

impl Schedule {
    pub(crate) async fn start(self, world: &World) -> Result<Producing> {
        let stop = CancellationToken::new();
        let mut clients = Vec::new();
        for _ in 0..self.connections {
            let url = world.log().url_of(Login::Producer);
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
            // Ends with its client; errors come back from the client's own calls.
            tokio::spawn(connection);
            clients.push(client);
        }
        let (zero, zero_on_the_wall) = (Instant::now() + LEAD, SystemTime::now() + LEAD);
        let mut tasks = JoinSet::new();
        for (number, client) in clients.into_iter().enumerate() {
            tasks.spawn(self.clone().produce(client, number as u64, zero, stop.clone()));
        }
        Ok(Producing {
            stop,
            tasks,
            schedule: self,
            zero,
            zero_on_the_wall,
        })
    }

    /// The transactions of one connection.
    async fn produce(
        self,
        client: Client,
        connection: u64,
        zero: Instant,
        stop: CancellationToken,
    ) -> Result<(Vec<Appended>, Client)> {
        let statement = client.prepare(APPEND).await?;
        let mut events = Vec::new();
        for turn in (connection..).step_by(usize::try_from(self.connections)?) {
            let first = turn * self.each;
            if self.events.is_some_and(|events| first >= events) {
                break;
            }
            let due = zero + self.due(first);
            tokio::select! {
                () = sleep_until(due) => {}
                () = stop.cancelled() => break,
            }
            let numbers: Vec<i64> = (first..first + self.each).map(u64::cast_signed).collect();
            let keys: Vec<String> = numbers
                .iter()
                .map(|number| key(connection, number.cast_unsigned()))
                .collect();
            let ids: Vec<Uuid> = numbers.iter().map(|_| Uuid::now_v7()).collect();
            let begun = Instant::now();
            client
                .execute(&statement, &[&self.topic, &numbers, &keys, &ids, &FILLING_BYTES])
                .await?;
            let committed = Instant::now();
            for ((number, key), id) in numbers.into_iter().zip(keys).zip(ids) {
                events.push(Appended {
                    number: number.cast_unsigned(),
                    id,
                    key,
                    due,
                    begun,
                    committed,
                });
            }
        }
        Ok((events, client))
    }

    /// Pure. When the transaction of this event is to begin, from number 0 on.
    fn due(&self, number: u64) -> Duration {
        Duration::from_nanos((number - number % self.each) * 1_000_000_000 / self.rate)
    }
}

fn key(connection: u64, number: u64) -> String {
    format!("key-{connection}-{}", number % KEYS_OF_EACH)
}

impl Producing {
    /// Lets each finish its transaction.
    pub(crate) async fn stop(self) -> Result<Produced> {
        self.stop.cancel();
        self.finished().await
    }

    /// Waits until all that was scheduled is committed.
    pub(crate) async fn finished(mut self) -> Result<Produced> {
        let (mut events, mut clients) = (Vec::new(), Vec::new());
        while let Some(done) = self.tasks.join_next().await {
            let (done, client) = done??;
            events.extend(done);
            clients.push(client);
        }
        events.sort_by_key(|event| event.number);
        if let Some(expected) = self.schedule.events
            && events.len() as u64 != expected
        {
            return Err(Failure::new(format!(
                "{} of {expected} events are appended",
                events.len()
            )));
        }
        Ok(Produced {
            events,
            zero_on_the_wall: self.zero_on_the_wall,
            zero: self.zero,
            _sessions: clients,
        })
    }
}

impl Produced {
    /// Microseconds since 1970 at which an event was due, by the machine's clock.
    pub(crate) fn due_on_the_wall(&self, event: &Appended) -> Result<i64> {
        let zero = self.zero_on_the_wall.duration_since(SystemTime::UNIX_EPOCH)?;
        Ok(i64::try_from((zero + (event.due - self.zero)).as_micros())?)
    }

    /// For the witness.
    pub(crate) fn journal(&self, topic: &str) -> Result<Journal> {
        let mut journal = Journal::default();
        for event in &self.events {
            let fact = Fact {
                id: event.id,
                topic: topic.to_owned(),
                key: event.key.clone(),
                number: i64::try_from(event.number)?,
            };
            journal.record(fact, Outcome::Committed);
        }
        Ok(journal)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Schedule;

    #[test]
    fn a_transaction_is_due_with_its_first_event() {
        let schedule = Schedule {
            topic: "a.b",
            rate: 5_000,
            each: 10,
            connections: 4,
            events: None,
        };
        for (number, due) in [(0, 0), (9, 0), (10, 2_000), (5_000, 1_000_000)] {
            assert_eq!(schedule.due(number), Duration::from_micros(due), "{number}");
        }
    }
}
