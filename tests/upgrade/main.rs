//! `cargo xtask upgrade` builds and runs this: a relay of an older version beside one of this version, under load, and back (row 48
//! of docs/faults.md).
//!
//! The order is that of operators: the schema first, then the relays. An older relay goes on with the newer schema, or refuses by
//! itself and says why; it never publishes anything twice, in another order, or not at all.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use system_tests::arrival::{arrived, judge};
use system_tests::{Failure, Invocation, Relay, Result, Schema, Workload, World};

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result {
    let older = std::env::args().nth(1).map(PathBuf::from);
    let older = older.ok_or_else(|| {
        Failure::new("upgrade takes the binary of the older version: run `cargo xtask upgrade`")
    })?;
    // A database of the older version, with an older relay under load.
    let world = World::with_schema(Schema::Empty).await?;
    migrate_with(&older, &world)?;
    let workload = Workload {
        pause: Duration::from_millis(3),
        ..Workload::default()
    };
    let topics = workload.topics.clone();
    let mut old = Relay::of(&world).binary(&older).start()?;
    old.leads().await?;
    let mut producers = workload.start(world.log()).await?;
    producers.commit_more(200, LIMIT).await?;
    arrived(&world, &topics, LIMIT).await?;
    // The schema of this version, while the older relay is at work.
    let migrated = Invocation::of(&world, &["migrate"])?.ask()?;
    if migrated.code != 0 {
        return Err(Failure::new(format!(
            "migrate ended with {}: {}",
            migrated.code, migrated.errors
        )));
    }
    producers.commit_more(200, LIMIT).await?;
    println!("the older relay on the newer schema: {}", stands(&mut old).await?);
    // This version beside it, and the older one told to end.
    let mut new = Relay::of(&world).start()?;
    new.ready().await?;
    producers.commit_more(200, LIMIT).await?;
    if !old.has_ended()? {
        old.terminate().await?;
    }
    new.leads().await?;
    producers.commit_more(200, LIMIT).await?;
    arrived(&world, &topics, LIMIT).await?;
    // And back: what the older one does, alone, on what the newer one left.
    let mut old = Relay::of(&world).binary(&older).start()?;
    if !new.terminate().await?.success() {
        return Err(Failure::new("the relay of this version did not end as told"));
    }
    producers.commit_more(200, LIMIT).await?;
    println!("the older relay after the newer one: {}", stands(&mut old).await?);
    let mut new = Relay::of(&world).start()?;
    producers.commit_more(200, LIMIT).await?;
    old.kill()?;
    new.leads().await?;
    let journal = producers.stop().await?;
    arrived(&world, &topics, LIMIT).await?;
    new.terminate().await?;
    if !journal.errors.is_empty() {
        return Err(Failure::new(format!(
            "producers felt it: {:?}",
            journal.errors.first()
        )));
    }
    judge(&world, &journal, &topics).await?.clean()?;
    println!("nothing was lost, doubled or turned around, and producers felt nothing");
    Ok(())
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

/// What it says of itself once it has come to a decision: ready, or why not, or that it ended.
async fn stands(relay: &mut Relay) -> Result<String> {
    system_tests::patience::until("it says where it stands", LIMIT, async || {
        if relay.has_ended()? {
            return Ok(Some("it ended".to_owned()));
        }
        Ok(relay
            .get("/readyz")
            .await
            .ok()
            .map(|(status, body)| format!("{status} {body}")))
    })
    .await
}
