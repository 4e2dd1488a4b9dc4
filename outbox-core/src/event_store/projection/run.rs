//! A projection at work: its live generation, what is being built of it, and what people ordered.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::catalogue::name_problem;
use super::definition::{Applied, Projection};
use super::pg::{self, PgPool, SchemaState, Seen};
use super::rebuild;
use crate::event_store;
use crate::event_store::subscription::{Error, Runner, Subscription};
use crate::verdict::Verdict;

/// Between looks at what people ordered.
const LOOK: Duration = Duration::from_millis(500);

/// A projection, ready to run.
pub struct ProjectionRunner {
    pool: PgPool,
    subscription: Subscription,
    projection: Arc<dyn Projection>,
    kind: &'static str,
}

/// A generation at work.
struct Task {
    token: CancellationToken,
    handle: JoinHandle<Result<(), Error>>,
    /// Ends it when the projection's own future is dropped.
    _guard: DropGuard,
}

impl ProjectionRunner {
    /// Applied by a subscription, soon after events were committed. The subscription's name is that of the projection and of its schema.
    pub fn asynchronous(pool: PgPool, subscription: Subscription, projection: impl Projection) -> Self {
        Self {
            pool,
            subscription,
            projection: Arc::new(projection),
            kind: "asynchronous",
        }
    }

    /// Applied where a service appends ([`super::append_projected`]): this makes its tables, and carries out rebuilds. What was stored before
    /// it ran first comes in by a rebuild.
    pub fn inline(pool: PgPool, subscription: Subscription, projection: impl Projection) -> Self {
        Self {
            kind: "inline",
            ..Self::asynchronous(pool, subscription, projection)
        }
    }

    /// Runs until the token is cancelled. Any number of processes may run the same projection.
    ///
    /// # Errors
    /// What a person must mend.
    pub async fn run(self, token: CancellationToken) -> Result<(), Error> {
        if let Some(problem) = name_problem(self.subscription.name()) {
            return Err(Error::Configuration {
                problems: vec![problem],
            });
        }
        let mut tasks = HashMap::new();
        let outcome = self.supervise(&mut tasks, &token).await;
        for (_, task) in tasks.drain() {
            end(task).await;
        }
        outcome
    }

    async fn supervise(
        &self,
        tasks: &mut HashMap<i32, Task>,
        token: &CancellationToken,
    ) -> Result<(), Error> {
        let mut has_tables = false;
        loop {
            let turn = tokio::select! {
                () = token.cancelled() => return Ok(()),
                turn = self.turn(tasks, &mut has_tables) => turn,
            };
            match turn {
                Err(error) if error.verdict() != Verdict::Retry && !is_race(&error) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, projection = self.subscription.name(), "a look at a projection failed")
                }
                Ok(()) => {}
            }
            tokio::select! {
                () = token.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn turn(&self, tasks: &mut HashMap<i32, Task>, has_tables: &mut bool) -> Result<(), Error> {
        let name = self.subscription.name();
        if !*has_tables {
            pg::register(&self.pool, name, self.kind).await?;
            self.ensure_tables().await?;
            *has_tables = true;
        }
        let seen = pg::see(&self.pool, name).await?;
        if seen.kind != self.kind {
            return Err(Error::Changed {
                name: name.to_owned(),
                what: format!("{} application", seen.kind),
            });
        }
        if seen.rebuild.is_none() {
            return self.tend(tasks, &seen).await;
        }
        let forwarded = rebuild::forward(&self.pool, &self.subscription, &self.projection, &seen).await;
        // A rebuild that cannot go on is no reason to leave the live one alone. Another generation may be live now.
        let seen = pg::see(&self.pool, name).await?;
        self.tend(tasks, &seen).await?;
        forwarded
    }

    /// Has those generations at work that are to be.
    async fn tend(&self, tasks: &mut HashMap<i32, Task>, seen: &Seen) -> Result<(), Error> {
        let mut wanted = Vec::new();
        if self.kind == "asynchronous" {
            wanted.push(seen.generation);
        }
        let built = seen
            .rebuild
            .as_ref()
            .filter(|rebuild| matches!(rebuild.state.as_str(), "building" | "held") && rebuild.has_schema);
        wanted.extend(built.map(|rebuild| rebuild.generation));
        let ended: Vec<i32> = tasks
            .iter()
            .filter(|(generation, task)| task.handle.is_finished() || !wanted.contains(generation))
            .map(|(generation, _)| *generation)
            .collect();
        for generation in ended {
            let Some(task) = tasks.remove(&generation) else {
                continue;
            };
            task.token.cancel();
            match task.handle.await {
                // It was switched or cancelled by another process.
                Ok(Err(error)) if is_race(&error) => {}
                Ok(Err(error)) if generation == seen.generation => return Err(error),
                Ok(Err(error)) => {
                    if let Some(built) = &seen.rebuild {
                        rebuild::hold(&self.pool, self.subscription.name(), built, &error).await?;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "a projection ended by a fault of the library; it is begun again")
                }
                _ => {}
            }
        }
        for generation in wanted {
            tasks.entry(generation).or_insert_with(|| self.start(generation));
        }
        Ok(())
    }

    fn start(&self, generation: i32) -> Task {
        let token = CancellationToken::new();
        let subscription = self.subscription.clone().of_generation(generation);
        let runner = Runner::new(
            self.pool.clone(),
            subscription,
            Applied(Arc::clone(&self.projection)),
        );
        Task {
            token: token.clone(),
            _guard: token.clone().drop_guard(),
            handle: tokio::spawn(runner.run(token)),
        }
    }

    /// The live tables, unless they are there.
    async fn ensure_tables(&self) -> Result<(), Error> {
        let name = self.subscription.name();
        let mut tx = pg::begin(&self.pool).await?;
        let generation = pg::hold(&mut tx, name).await?;
        let schema = pg::schema_state(&mut tx, name, name, generation).await?;
        let refused = |said: String| {
            Err(Error::Projection {
                name: name.to_owned(),
                said,
            })
        };
        match schema {
            SchemaState {
                is_there: true,
                made_for: Some(_),
                ..
            } => return Ok(()),
            // Made by a version that did not say so.
            SchemaState {
                is_there: true,
                has_events: true,
                ..
            } => {
                return match pg::own_schema(&mut tx, name, (name, generation)).await {
                    Err(Error::Store(event_store::Error::Database { code, .. })) if code == "42501" => {
                        tracing::warn!(
                            projection = name,
                            "the schema does not say whose it is, and belongs to another login: as its owner, comment on schema {name} is \
                             'outbox projection {name} generation {generation}'"
                        );
                        Ok(())
                    }
                    marked => {
                        marked?;
                        pg::commit(tx).await
                    }
                };
            }
            SchemaState { is_there: true, .. } => {
                return refused(format!(
                    "schema {name} is there and was not made for it: give the projection another name. If it is its own all the same: \
                     comment on schema {name} is 'outbox projection {name} generation {generation}'"
                ));
            }
            SchemaState { has_events: true, .. } => {
                return refused(
                    "events were applied to its tables, and the schema is gone: order a rebuild".to_owned(),
                );
            }
            SchemaState { .. } => {}
        }
        pg::make_schema(&mut tx, name, (name, generation), &self.projection).await?;
        pg::commit(tx).await
    }
}

/// What another process did at the same time.
pub(super) fn is_race(error: &Error) -> bool {
    matches!(error, Error::Gone { .. } | Error::Fenced)
        || matches!(error, Error::Store(crate::event_store::Error::Database { code, .. }) if code == "55P03" || code == "40P01" || code == "42P06")
}

async fn end(task: Task) {
    task.token.cancel();
    if let Err(error) = task.handle.await {
        tracing::debug!(%error, "a projection ended");
    }
}
