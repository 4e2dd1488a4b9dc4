//! What was armed from outside, and doing it.

use std::fmt;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Point;
use crate::{publish, tail};

/// Longer than the leases under test.
const STALL: Duration = Duration::from_millis(2_500);
/// The exit code of a process that was ended here.
const EXIT_CODE: i32 = 9;

/// The failure that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Harm(Point);

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed on purpose at {}", self.0.name())
    }
}

impl std::error::Error for Harm {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Exit,
    Panic,
    Error,
    Stall,
}

#[derive(Debug)]
struct Armed {
    point: String,
    action: Action,
    nth: u64,
    visits: AtomicU64,
}

/// A visit of a point: does the harm that is due, or answers with it.
pub async fn reached(point: Point) -> Option<Harm> {
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    let armed = ARMED.get_or_init(read).as_ref()?;
    if armed.point != point.name() || armed.visits.fetch_add(1, Ordering::SeqCst) + 1 != armed.nth {
        return None;
    }
    record(point);
    match armed.action {
        Action::Exit => std::process::exit(EXIT_CODE),
        Action::Panic => panic!("panicked on purpose at {}", point.name()),
        Action::Error => Some(Harm(point)),
        Action::Stall => {
            tokio::time::sleep(STALL).await;
            None
        }
    }
}

/// Nothing is armed by what cannot be read: the test then misses its record.
fn read() -> Option<Armed> {
    let said = std::env::var("OUTBOX_CRASH_POINT").ok()?;
    let mut parts = said.split(':');
    let point = parts.next()?.to_owned();
    let action = match parts.next()? {
        "exit" => Action::Exit,
        "panic" => Action::Panic,
        "error" => Action::Error,
        "stall" => Action::Stall,
        _ => return None,
    };
    let nth = parts.next().map_or(Some(1), |nth| nth.parse().ok())?;
    Some(Armed {
        point,
        action,
        nth,
        visits: AtomicU64::new(0),
    })
}

fn record(point: Point) {
    let Some(path) = std::env::var_os("OUTBOX_CRASH_RECORD") else {
        return;
    };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    // A record that cannot be written is missed by the test.
    file.and_then(|mut file| writeln!(file, "{}", point.name())).ok();
}

impl From<Harm> for tail::Error {
    fn from(harm: Harm) -> Self {
        Self::new(tail::Kind::Connection, harm.to_string())
    }
}

impl From<Harm> for publish::Error {
    fn from(harm: Harm) -> Self {
        Self::new(publish::Kind::SinkDown, harm.to_string())
    }
}

#[cfg(feature = "redis")]
impl From<Harm> for crate::consume::Error {
    fn from(harm: Harm) -> Self {
        Self::Postgres {
            doing: "what was asked for",
            code: None,
            source: Box::new(harm),
        }
    }
}
