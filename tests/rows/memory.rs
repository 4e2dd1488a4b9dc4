//! Large events, and a relay that the machine ends for want of memory (rows 35 and 36 of docs/faults.md).

use std::process::Command;
use std::time::Duration;

use system_tests::arrival::{arrived, backlog, entries_of, judge};
use system_tests::patience::until;
use system_tests::{Failure, Relay, Result, World};
use xtask::servers::{Postgres, Redis};

use crate::scene::{LIMIT, patient};

const LARGE: i32 = 15 << 20;
const EVENTS: i32 = 24;
/// For each of three streams one event is read, held, packed and on its way at a time, in a copy for each step, and one in the cut.
const MEMORY_BYTES: u64 = 384 << 20;

#[tokio::test]
async fn many_events_as_large_as_they_may_be_pass_through_bounded_memory() -> Result {
    // GIVEN 360 MB in 24 events
    let world = World::with_own_servers(Postgres::options(), Redis::options()).await?;
    let topics = ["orders.placed", "payments.taken", "stock.moved"].map(str::to_owned);
    let journal = backlog(&world, &topics, 4, EVENTS / 4, LARGE).await?;
    // WHEN a relay publishes them
    let mut relay = Relay::of(&world).start()?;
    until("half of it arrives", LIMIT, async || {
        Ok((entries_of(&world, &topics).await? >= u64::from(EVENTS.unsigned_abs()) / 2).then_some(()))
    })
    .await?;
    let early = relay.peak_memory_bytes()?;
    arrived(&world, &topics, LIMIT).await?;
    let peak = relay.peak_memory_bytes()?;
    assert!(relay.terminate().await?.success());
    // THEN it never had more than a few of them, and no more at the end than in the middle
    eprintln!(
        "peak memory {} MiB, then {} MiB, for events of 15 MiB",
        early >> 20,
        peak >> 20
    );
    assert!(
        peak <= early + early / 3,
        "{early} bytes in the middle, {peak} at the end"
    );
    assert!(
        peak <= MEMORY_BYTES,
        "the relay had {} MiB at its peak",
        peak >> 20
    );
    judge(&world, &journal, &topics).await?.clean()
}

/// Bounds what the process may have, as the system's killer would: what it asks for beyond that ends it.
fn bound(process: u32, bytes: u64) -> Result {
    let status = Command::new("prlimit")
        .args(["--pid", &process.to_string(), &format!("--as={bytes}")])
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "prlimit ended with {status}: is util-linux installed?"
        )))
    }
}

/// What it has of address space, used or not.
fn address_space(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kilobytes: Option<u64> = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    Ok(kilobytes.ok_or_else(|| Failure::new("no VmSize in /proc"))? * 1024)
}

#[tokio::test]
async fn a_relay_that_is_ended_for_want_of_memory_is_replaced_by_one_that_has_it() -> Result {
    // GIVEN a relay that may have no more than it has, and something large to publish
    let world = World::with_own_servers(Postgres::options(), Redis::options()).await?;
    let topics = ["orders.placed", "payments.taken", "stock.moved"].map(str::to_owned);
    let mut relay = patient(Relay::of(&world)).start()?;
    relay.leads().await?;
    let mut journal = backlog(&world, &topics, 3, 300, 1000).await?;
    arrived(&world, &topics, LIMIT).await?;
    bound(relay.process_id(), address_space(relay.process_id())? + (4 << 20))?;
    // WHEN it reads that
    journal.merge(backlog(&world, &topics, 3, 3, LARGE).await?);
    // THEN it is gone at once, without a chance to say anything
    until("the relay is gone", LIMIT, async || {
        Ok(relay.has_ended()?.then_some(()))
    })
    .await?;
    assert!(
        entries_of(&world, &topics).await? < 909,
        "it published everything: nothing was shown"
    );
    // AND one that has the memory goes on where it was
    let mut next = Relay::of(&world).start()?;
    arrived(&world, &topics, Duration::from_secs(60)).await?;
    assert!(next.terminate().await?.success());
    judge(&world, &journal, &topics).await?.clean()
}
