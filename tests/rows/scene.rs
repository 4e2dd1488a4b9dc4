//! What most of these tests begin and end with: relays under load, and a judge.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor};
use system_tests::arrival::{arrived, judge};
use system_tests::relay::RelayOptions;
use system_tests::{Crew, Failure, Journal, Producers, Relay, Result, Workload, World};
use uuid::Uuid;

pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// A world with relays and writers at work, and some events through already.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) crew: Crew,
    pub(crate) producers: Producers,
    pub(crate) topics: Vec<String>,
}

/// A load that leaves the machine room for the fault.
pub(crate) fn moderate() -> Workload {
    Workload {
        pause: Duration::from_millis(3),
        ..Workload::default()
    }
}

impl Scene {
    pub(crate) async fn begin(world: World, relays: usize, workload: Workload) -> Result<Self> {
        let options = patient(Relay::of(&world));
        Self::begin_with(world, options, relays, workload).await
    }

    pub(crate) async fn begin_with(
        world: World,
        options: RelayOptions,
        relays: usize,
        workload: Workload,
    ) -> Result<Self> {
        let crew = Crew::start(options, relays).await?;
        Self::with(world, crew, workload).await
    }

    pub(crate) async fn with(world: World, crew: Crew, workload: Workload) -> Result<Self> {
        let topics = workload.topics.clone();
        let mut producers = workload.start(world.log()).await?;
        producers.commit_more(50, LIMIT).await?;
        arrived(&world, &topics, LIMIT).await?;
        Ok(Self {
            world,
            crew,
            producers,
            topics,
        })
    }

    /// Everything that was committed arrives once and in order. Returns what the producers did.
    pub(crate) async fn ends_well(mut self) -> Result<Journal> {
        self.producers.commit_more(50, LIMIT).await?;
        let journal = self.producers.stop().await?;
        arrived(&self.world, &self.topics, LIMIT).await?;
        self.crew.terminate().await?;
        judge(&self.world, &journal, &self.topics).await?.clean()?;
        Ok(journal)
    }
}

/// Tries again soon, so that tests need not wait for it.
pub(crate) fn patient(options: RelayOptions) -> RelayOptions {
    options.set("OUTBOX_PUBLISH_BACKOFF_MAX", "500ms")
}

/// A login that is all of these roles and nothing more, and its URL.
pub(crate) async fn login(world: &World, roles: &str) -> Result<(String, String)> {
    let name = format!("login_{}", Uuid::now_v7().simple());
    let mut connection = world.connect().await?;
    connection
        .execute(AssertSqlSafe(format!("create role {name} login in role {roles}")))
        .await?;
    connection.close().await?;
    let (scheme, rest) = world
        .database_url()
        .split_once("postgres@")
        .ok_or_else(|| Failure::new("the URL of the world names no user postgres"))?;
    Ok((name.clone(), format!("{scheme}{name}@{rest}")))
}
