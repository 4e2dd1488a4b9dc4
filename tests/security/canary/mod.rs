//! Canaries: passwords of both servers, and everything of an event that is somebody's business, are looked for in all that
//! relay, consumer and commands say at the loudest level of the log, whatever goes wrong (G12).

use system_tests::{Relay, Result};

mod ground;

mod at_work;

mod commands;

mod recovery;

mod observer;

mod password;

use ground::{Ground, KEY, LIMIT, PAYLOAD, POSTGRES_PASSWORD, REDIS_PASSWORD, SAID, SUBJECT, WAYS};

/// All begin like this.
const CANARY: &str = "canary";
/// A log of at most so many lines, at the loudest level, is too short to say anything.
const SHORT: usize = 15;

/// Nothing of what is said has a canary in it.
fn is_silent(place: &str, said: &str) {
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| line.contains(CANARY))
        .take(3)
        .collect();
    assert!(lines.is_empty(), "{place}: {}", lines.join("\n"));
}

/// The pages and the log of a process.
async fn is_silent_throughout(place: &str, process: &Relay) -> Result {
    is_silent_and_longer_than(SHORT, place, process).await
}

/// The same of one that has so little to do that this much is much.
async fn is_silent_and_longer_than(short: usize, place: &str, process: &Relay) -> Result {
    for page in ["/metrics", "/readyz", "/livez"] {
        is_silent(&format!("{page} of {place}"), &process.get(page).await?.1);
    }
    let log = process.log();
    let lines = log.lines().count();
    assert!(
        lines > short,
        "the log of {place} has {lines} lines, too few to say anything"
    );
    is_silent(&format!("the log of {place}"), &log);
    Ok(())
}
