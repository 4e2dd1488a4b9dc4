//! A signal before a process is ready: it ends well all the same, since signals are caught before anything that takes time.
//!
//! What is before `main` and the reading of the command line is the system's: whoever is told there ends by the signal. That they are
//! caught is asked of the system itself (`/proc`), so nothing here depends on how fast anything is.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::Executor as _;
use system_tests::patience::until;
use system_tests::relay::RelayOptions;
use system_tests::{Failure, Relay, Result, Schema, World};
use xtask::servers::{catches_term, signal};

/// Nothing on a test machine takes this long.
const LIMIT: Duration = Duration::from_secs(120);
/// `O_NONBLOCK`: to open a pipe that nobody reads is an error, and not waited for.
const AT_ONCE: i32 = 0o4000;
const NOWHERE: [(&str, &str); 2] = [
    ("DATABASE_URL", "postgres://u@127.0.0.1:1/d"),
    ("REDIS_URL", "redis://127.0.0.1:1"),
];

fn both(world: &World) -> [RelayOptions; 2] {
    let consume = ["consume", "--group", "g", "--topic", "t", "--call", "shop.apply"];
    let consumer = Relay::command(&consume)
        .set("DATABASE_URL", world.database_url())
        .set("REDIS_URL", world.redis_url());
    [Relay::of(world), consumer]
}

/// A pipe in place of a file with settings: whoever reads it is held up until the other end is let go.
fn pipe(folder: &Path, name: &str) -> Result<std::path::PathBuf> {
    let path = folder.join(name);
    let made = Command::new("mkfifo").arg(&path).status()?;
    match made.success() {
        true => Ok(path),
        false => Err(Failure::new(format!("mkfifo ended with {made}"))),
    }
}

/// The other end, once it is read.
async fn held(path: &Path) -> Result<File> {
    until("somebody reads the settings", LIMIT, async || {
        match OpenOptions::new().write(true).custom_flags(AT_ONCE).open(path) {
            Ok(file) => Ok(Some(file)),
            // ENXIO: nobody has it open.
            Err(error) if error.raw_os_error() == Some(6) || error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await
}

#[tokio::test]
async fn who_is_told_to_stop_while_settings_are_read_ends_well_without_having_begun() -> Result {
    // GIVEN a relay and a consumer, with servers and without, that are reading their settings
    let (world, folder) = (World::new().await?, tempfile::tempdir()?);
    let mut cases = both(&world).to_vec();
    for options in both(&world) {
        cases.push(
            NOWHERE
                .iter()
                .fold(options, |options, (name, url)| options.set(name, url)),
        );
    }
    for (number, options) in cases.into_iter().enumerate() {
        let path = pipe(folder.path(), &format!("{number}.toml"))?;
        let mut process = options.set("OUTBOX_CONFIG", path.display()).start()?;
        let settings = held(&path).await?;
        // WHEN they are told to stop, and the settings come
        signal(process.process_id(), "TERM")?;
        drop(settings);
        // THEN they end with success, and not by the signal
        let ended = process.ended(LIMIT).await?;
        assert_eq!(
            ended.code(),
            Some(0),
            "case {number} ended with {ended}:\n{}",
            process.log()
        );
    }
    // AND nobody ever led
    let led: i64 = sqlx::query_scalar("select max(epoch) from outbox.lease")
        .fetch_one(&mut world.connect().await?)
        .await?;
    assert_eq!(led, 0);
    Ok(())
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_settings_that_never_come() -> Result {
    // GIVEN a relay whose settings do not come
    let (world, folder) = (World::new().await?, tempfile::tempdir()?);
    let path = pipe(folder.path(), "never.toml")?;
    let mut relay = Relay::of(&world).set("OUTBOX_CONFIG", path.display()).start()?;
    let _settings = held(&path).await?;
    // WHEN it is told to stop, and told again until it does: two that come at once are one
    let ended = until("it ends", LIMIT, async || {
        if let Some(status) = relay.exit_status()? {
            return Ok(Some(status));
        }
        signal(relay.process_id(), "TERM").ok();
        Ok(None)
    })
    .await?;
    // THEN it ends at once, with the code that is for that
    assert_eq!(ended.code(), Some(130), "{ended}");
    Ok(())
}

#[tokio::test]
async fn from_the_moment_that_signals_are_caught_nobody_ends_by_one() -> Result {
    // GIVEN processes that just began, and miss nothing
    let world = World::with_schema(Schema::Both).await?;
    let shop = "create schema shop authorization test_consumer;
        create function shop.apply(event json) returns void language sql as ''";
    world.connect().await?.execute(shop).await?;
    for options in both(&world).into_iter().cycle().take(10) {
        let mut process = options.start()?;
        // WHEN they are told to stop as soon as the system says that they catch it
        let id = process.process_id();
        let begun = Instant::now();
        while !catches_term(id) {
            assert!(begun.elapsed() < LIMIT, "it never catches it:\n{}", process.log());
            std::thread::yield_now();
        }
        signal(id, "TERM")?;
        // THEN they end with success
        let ended = process.ended(LIMIT).await?;
        assert_eq!(ended.code(), Some(0), "{ended}:\n{}", process.log());
    }
    Ok(())
}
