//! `cargo xtask upgrade` builds and runs this: relays and members of an older version beside those of this version, under load, and
//! back (row 48 of docs/faults.md).
//!
//! The order is that of operators: the schema first, then the relays, then the members. An older relay leads on the newer schema, and
//! members of both versions share the streams of one group; nothing is published or applied twice, in another order, or not at all.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use system_tests::arrival::{arrived, judge};
use system_tests::{Failure, Invocation, Producers, Relay, Result, Schema, Workload, World};

mod group;

use group::Group;

const LIMIT: Duration = Duration::from_secs(60);
/// Names of members, in this order.
const OLDER: &str = "a-older";
const NEWER: &str = "b-newer";

/// Both ends, the group, and producers at work all the time.
struct Stage {
    older: PathBuf,
    world: World,
    topics: Vec<String>,
    group: Group,
    producers: Producers,
}

#[tokio::main]
async fn main() -> Result {
    let older = std::env::args().nth(1).map(PathBuf::from);
    let older = older.ok_or_else(|| {
        Failure::new("upgrade takes the binary of the older version: run `cargo xtask upgrade`")
    })?;
    let world = World::with_schema(Schema::Empty).await?;
    migrate_with(&older, &world)?;
    let workload = Workload {
        pause: Duration::from_millis(3),
        ..Workload::default()
    };
    let topics = workload.topics.clone();
    let mut stage = Stage {
        older,
        group: Group::open(&world, &topics).await?,
        producers: workload.start(world.log()).await?,
        topics,
        world,
    };
    let (mut relay, mut member) = stage.forth().await?;
    let (mut relay, mut member) = stage.back_and_forth(&mut relay, &mut member).await?;
    let journal = stage.producers.stop().await?;
    arrived(&stage.world, &stage.topics, LIMIT).await?;
    judge(&stage.world, &journal, &stage.topics).await?.clean()?;
    stage.group.judge(&journal).await?;
    member.terminate().await?;
    relay.terminate().await?;
    if !journal.errors.is_empty() {
        return Err(Failure::new(format!(
            "producers felt it: {:?}",
            journal.errors.first()
        )));
    }
    println!("nothing was lost, doubled or turned around, and producers felt nothing");
    Ok(())
}

impl Stage {
    async fn more(&mut self) -> Result {
        self.producers.commit_more(200, LIMIT).await
    }

    fn older_relay(&self) -> Result<Relay> {
        Relay::of(&self.world).binary(&self.older).start()
    }

    fn older_member(&self) -> Result<Relay> {
        self.group.member(&self.world, Some(&self.older), OLDER)
    }

    /// From the older version to this one: schema, relay, member.
    async fn forth(&mut self) -> Result<(Relay, Relay)> {
        let mut old = self.older_relay()?;
        old.leads().await?;
        let mut old_member = self.older_member()?;
        self.more().await?;
        arrived(&self.world, &self.topics, LIMIT).await?;
        self.group.is_shared_by(&[OLDER]).await?;
        let migrated = Invocation::of(&self.world, &["migrate"])?.ask()?;
        if migrated.code != 0 {
            return Err(Failure::new(format!(
                "migrate ended with {}: {}",
                migrated.code, migrated.errors
            )));
        }
        self.more().await?;
        old.leads().await?;
        self.group.is_shared_by(&[OLDER]).await?;
        println!("the older relay and the older member go on with the newer schema");
        let mut new = Relay::of(&self.world).start()?;
        new.ready().await?;
        let new_member = self.group.member(&self.world, None, NEWER)?;
        self.group.is_shared_by(&[OLDER, NEWER]).await?;
        self.more().await?;
        old.terminate().await?;
        new.leads().await?;
        self.more().await?;
        arrived(&self.world, &self.topics, LIMIT).await?;
        self.group.is_shared_by(&[OLDER, NEWER]).await?;
        println!("members of both versions share the streams, published by either relay");
        old_member.terminate().await?;
        self.group.is_shared_by(&[NEWER]).await?;
        Ok((new, new_member))
    }

    /// The older version alone on what this one left, and this one once more.
    async fn back_and_forth(&mut self, relay: &mut Relay, member: &mut Relay) -> Result<(Relay, Relay)> {
        let mut old = self.older_relay()?;
        if !relay.terminate().await?.success() {
            return Err(Failure::new("the relay of this version did not end as told"));
        }
        let mut old_member = self.older_member()?;
        member.kill()?;
        self.more().await?;
        self.group.is_shared_by(&[OLDER]).await?;
        old.leads().await?;
        println!("the older relay and the older member go on alone after the newer ones");
        let mut new = Relay::of(&self.world).start()?;
        self.more().await?;
        old.kill()?;
        new.leads().await?;
        let new_member = self.group.member(&self.world, None, NEWER)?;
        old_member.kill()?;
        self.group.is_shared_by(&[NEWER]).await?;
        Ok((new, new_member))
    }
}

fn migrate_with(older: &PathBuf, world: &World) -> Result {
    let ended = Command::new(older)
        .arg("migrate")
        .env("DATABASE_URL", world.database_url())
        .output()?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    Err(Failure::new(format!(
        "{} migrate ended with {}: {said}",
        older.display(),
        ended.status
    )))
}
