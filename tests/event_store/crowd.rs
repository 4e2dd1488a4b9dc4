//! Sixteen writers on few streams, whose connections are ended now and then: what they saw against what is stored.

use std::time::Duration;

use outbox_core::append::NewEvent;
use outbox_core::event_store::{
    self, Error, Expected, Outcome, Outcomes, StreamAppend, StreamName, StreamRead,
};
use rand::rngs::StdRng;
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use system_tests::patience::until;
use system_tests::{Failure, Result, World};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use uuid::Uuid;
use xtask::servers::{PostgresOptions, RedisOptions};

use crate::witness::{Attempt, Fate, judge};

const WRITERS: u64 = 16;
const STREAMS: u32 = 5;
const COMMITS: usize = 40;
const COMMITS_PER_KILL: u64 = 8;

/// One writer: reads, decides, appends at the version read, again and again.
struct Writer {
    url: String,
    random: StdRng,
    attempts: Vec<Attempt>,
    committing: mpsc::UnboundedSender<()>,
}

impl Writer {
    async fn run(mut self) -> Result<Vec<Attempt>> {
        let mut connection = None;
        let mut committed = 0;
        while committed < COMMITS {
            let open = match connection.take() {
                Some(open) => open,
                None => match PgConnection::connect(&self.url).await {
                    Ok(open) => open,
                    // Restarting.
                    Err(_) => {
                        tokio::task::yield_now().await;
                        continue;
                    }
                },
            };
            let mut open = open;
            match self.write(&mut open).await {
                Ok(wrote) => {
                    committed += usize::from(wrote);
                    connection = Some(open);
                }
                Err(error) if error.is_lost => {}
                Err(error) => return Err(error.failure),
            }
        }
        Ok(self.attempts)
    }

    /// One decision about one stream, or about two at once. True: committed.
    async fn write(&mut self, connection: &mut PgConnection) -> std::result::Result<bool, Stopped> {
        let mut streams = vec![self.random.random_range(0..STREAMS)];
        if self.random.random_bool(0.2) {
            streams.push((streams[0] + 1) % STREAMS);
        }
        let mut plan = Vec::new();
        for id in streams {
            let stream = StreamName::new("account", id).map_err(Stopped::by)?;
            let newest = event_store::read_page(connection, &StreamRead::of(&stream).backward()).await?;
            let (seen, mut behind) = newest
                .first()
                .map_or((0, None), |event| (event.version, Some(event.event.id.clone())));
            let mut events = Vec::new();
            let mut ids = Vec::new();
            for _ in 0..self.random.random_range(1..=3) {
                let id = Uuid::from_u128(self.random.next_u64().into());
                events.push(
                    NewEvent::stored("account.moved")
                        .id(id)
                        .json(&json!({ "behind": behind })),
                );
                behind = Some(id.to_string());
                ids.push(id);
            }
            plan.push((stream, seen, ids, events));
        }
        let attempts: Vec<Attempt> = plan
            .iter()
            .map(|(stream, seen, ids, _)| Attempt {
                stream: stream.to_string(),
                seen: *seen,
                ids: ids.clone(),
                fate: Fate::RolledBack,
            })
            .collect();
        let call = plan
            .into_iter()
            .map(|(stream, seen, _, events)| StreamAppend {
                stream,
                expected: Expected::Version(seen),
                events,
            })
            .collect();
        let gives_up = self.random.random_bool(0.1);
        self.append(connection, call, attempts, gives_up).await
    }

    async fn append(
        &mut self,
        connection: &mut PgConnection,
        call: Vec<StreamAppend>,
        mut attempts: Vec<Attempt>,
        gives_up: bool,
    ) -> std::result::Result<bool, Stopped> {
        let mut transaction = connection.begin().await?;
        let outcomes = event_store::append_streams(&mut transaction, call.clone()).await?;
        match outcomes {
            Outcomes::Conflict(conflicts) => {
                transaction.commit().await?;
                for conflict in conflicts {
                    let attempt = attempts
                        .iter()
                        .find(|attempt| attempt.stream == conflict.stream.as_str());
                    let attempt = attempt
                        .ok_or_else(|| Stopped::by("a conflict of another stream"))?
                        .clone();
                    self.attempts.push(Attempt {
                        fate: Fate::Conflict(conflict.actual),
                        ..attempt
                    });
                }
                Ok(false)
            }
            Outcomes::AlreadyAppended(_) => Err(Stopped::by("ids that were never used are there already")),
            Outcomes::Appended(_) if gives_up => {
                transaction.rollback().await?;
                self.attempts.append(&mut attempts);
                Ok(false)
            }
            Outcomes::Appended(appended) => {
                let answer = transaction.commit().await;
                let is_there = match answer {
                    Ok(()) => true,
                    // Not known: asked for by id, behind whoever is still at work on the stream.
                    Err(_) => self.was_committed(&call).await?,
                };
                for (attempt, appended) in attempts.iter_mut().zip(appended) {
                    if is_there {
                        attempt.fate = Fate::Committed(appended.version);
                    }
                }
                self.attempts.append(&mut attempts);
                if is_there {
                    // Who listens ends after all who write.
                    self.committing.send(()).ok();
                }
                Ok(is_there)
            }
        }
    }

    async fn was_committed(&self, call: &[StreamAppend]) -> std::result::Result<bool, Stopped> {
        let first = &call[0];
        let id = first.events[0].event_id();
        loop {
            let Ok(mut connection) = PgConnection::connect(&self.url).await else {
                tokio::task::yield_now().await;
                continue;
            };
            match event_store::find_appended(&mut connection, &first.stream, &[id]).await {
                Ok(found) => return Ok(!found.is_empty()),
                Err(Error::Connection { .. }) => {}
                Err(error) if error.verdict() == outbox_core::verdict::Verdict::Retry => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Why one turn of a writer ended early.
struct Stopped {
    is_lost: bool,
    failure: Failure,
}

impl Stopped {
    fn by(said: impl ToString) -> Self {
        Self {
            is_lost: false,
            failure: Failure::new(said.to_string()),
        }
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self {
            is_lost: error.verdict() == outbox_core::verdict::Verdict::Retry,
            failure: Failure::new(error.to_string()),
        }
    }
}

impl From<sqlx::Error> for Stopped {
    fn from(error: sqlx::Error) -> Self {
        let ended = error
            .as_database_error()
            .and_then(|refused| refused.code().map(|code| code.starts_with("57P")));
        Self {
            is_lost: ended.unwrap_or(true),
            failure: Failure::new(error.to_string()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_writers_whose_sessions_are_ended_lose_nothing_and_overwrite_nobody() -> Result {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let world = World::with_own_servers(PostgresOptions::default(), RedisOptions::default()).await?;
    let (committing, mut commits) = mpsc::unbounded_channel();
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let writer = Writer {
            url: world.database_url().to_owned(),
            random: StdRng::seed_from_u64(seed ^ number),
            attempts: Vec::new(),
            committing: committing.clone(),
        };
        writers.spawn(writer.run());
    }
    // Ends one session of theirs at every eighth commit, in the middle of something: by time alone a busy machine would get nowhere.
    drop(committing);
    let mut harm = world.connect().await?;
    let harming = tokio::spawn(async move {
        let (mut seen, mut ended) = (0_u64, 0_u64);
        while commits.recv().await.is_some() {
            seen += 1;
            if seen % COMMITS_PER_KILL == 0 {
                let hit: Option<bool> = sqlx::query_scalar(
                    "select pg_terminate_backend(pid) from pg_stat_activity
                     where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle' order by random() limit 1",
                )
                .fetch_optional(&mut harm)
                .await?;
                ended += u64::from(hit == Some(true));
            }
        }
        Ok::<_, sqlx::Error>(ended)
    });
    let mut attempts = Vec::new();
    while let Some(done) = writers.join_next().await {
        attempts.extend(done.map_err(|error| Failure::new(error.to_string()))??);
    }
    let ended = harming.await.map_err(|error| Failure::new(error.to_string()))??;
    let counts = judge(&mut world.connect().await?, &attempts).await?;
    println!("{counts:?}, {ended} sessions ended");
    assert!(ended > 10, "only {ended} sessions were ended");
    assert!(counts.conflicts > 10 && counts.rolled_back > 10, "{counts:?}");
    assert!(
        counts.committed >= COMMITS * usize::try_from(WRITERS)?,
        "{counts:?}"
    );
    Ok(())
}

/// Two calls for the same streams, named in opposite order, wait for each other and never in a circle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_a_call_are_locked_in_one_order() -> Result {
    let world = World::new().await?;
    let mut calls = JoinSet::new();
    for number in 0..8_u32 {
        let url = world.database_url().to_owned();
        calls.spawn(async move {
            let mut connection = PgConnection::connect(&url).await?;
            for _ in 0..20 {
                let mut streams: Vec<u32> = (0..6).collect();
                if number % 2 == 1 {
                    streams.reverse();
                }
                let call = streams
                    .into_iter()
                    .map(|id| {
                        Ok(StreamAppend {
                            stream: StreamName::new("account", id)?,
                            expected: Expected::Any,
                            events: vec![NewEvent::stored("account.moved")],
                        })
                    })
                    .collect::<Result<_>>()?;
                match event_store::append_streams(&mut connection, call).await? {
                    Outcomes::Appended(_) => {}
                    other => return Err(Failure::new(format!("{other:?}"))),
                }
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(done) = calls.join_next().await {
        done.map_err(|error| Failure::new(error.to_string()))??;
    }
    let versions: Vec<i64> =
        sqlx::query_scalar("select max(version) from outbox.stored_event group by stream")
            .fetch_all(&mut world.connect().await?)
            .await?;
    assert_eq!(versions, vec![160; 6]);
    Ok(())
}

/// Who asks for events of a transaction that is still open learns what becomes of it.
#[tokio::test]
async fn who_asks_by_id_waits_for_who_is_at_work() -> Result {
    let world = World::new().await?;
    let (mut at_work, mut asking) = (world.connect().await?, world.connect().await?);
    for (number, commits) in [(1_u32, true), (2, false)] {
        let stream = StreamName::new("order", number)?;
        let id = Uuid::from_u128(u128::from(number));
        let mut transaction = at_work.begin().await?;
        let event = vec![NewEvent::stored("order.placed").id(id)];
        let outcome = event_store::append(&mut transaction, &stream, Expected::NoStream, event).await?;
        assert!(matches!(outcome, Outcome::Appended { .. }));
        let ids = [id];
        let mut answer = std::pin::pin!(event_store::find_appended(&mut asking, &stream, &ids));
        let mut looks = world.connect().await?;
        // It waits for the lock, and says nothing before the other one has ended.
        let waits = async {
            until("somebody waits for the stream", Duration::from_secs(60), async || {
                let waiting: i64 = sqlx::query_scalar(
                    "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
                )
                .fetch_one(&mut looks)
                .await?;
                Ok((waiting > 0).then_some(()))
            })
            .await
        };
        tokio::select! {
            early = &mut answer => panic!("answered before the other one ended: {early:?}"),
            waited = waits => waited?,
        }
        if commits {
            transaction.commit().await?;
        } else {
            transaction.rollback().await?;
        }
        assert_eq!(answer.await?.len(), usize::from(commits));
    }
    Ok(())
}
