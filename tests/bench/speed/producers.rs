//! Producers that commit as fast as they can, with nothing between them and the server: a thread each, on a blocking socket, with one
//! prepared statement. What it binds is put together by the producer, as services do, and null is bound where there is nothing.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use rand::Rng as _;
use system_tests::{Failure, Result};
use uuid::Uuid;

use super::session::Session;

/// Keys that events are over.
const KEYS: u32 = 1_000;
/// Bytes of a payload beside its number.
const FILLING: usize = 170;

/// What a producer has for one transaction: new each time.
pub(super) struct Entry {
    /// Ordered by time, as the library makes them.
    pub(super) id: String,
    pub(super) key: String,
    /// JSON of about 200 bytes.
    pub(super) payload: String,
}

/// What is repeated: a statement, and what is bound to it.
#[derive(Clone, Copy)]
pub(super) struct Statement {
    pub(super) text: &'static str,
    pub(super) bind: fn(&Entry) -> Vec<Option<&str>>,
}

/// What they did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub(super) transactions: i64,
    /// Transactions in a second, from when all were connected until the last answer.
    pub(super) rate: f64,
}

/// Repeats a statement, each time in a transaction of its own, for so long; blocks until the last answer.
///
/// # Errors
/// The first of any producer, and where none committed anything.
pub(super) fn produce(url: &str, statement: Statement, producers: usize, lasts: Duration) -> Result<Done> {
    let sessions: Result<Vec<Session>> = (0..producers)
        .map(|_| Session::open(url, statement.text))
        .collect();
    let start = Barrier::new(producers);
    thread::scope(|scope| {
        let start = &start;
        let threads: Vec<_> = sessions?
            .into_iter()
            .map(|session| {
                scope.spawn(move || {
                    start.wait();
                    repeat(session, statement, Instant::now(), lasts)
                })
            })
            .collect();
        let mut all: Vec<Once> = Vec::new();
        for thread in threads {
            all.push(thread.join().map_err(|_| Failure::new("a producer panicked"))??);
        }
        sum(&all).ok_or_else(|| Failure::new("no producer committed anything"))
    })
}

/// What one of them did.
struct Once {
    transactions: i64,
    began: Instant,
    ended: Instant,
}

fn repeat(mut session: Session, statement: Statement, began: Instant, lasts: Duration) -> Result<Once> {
    let mut random = rand::rng();
    let filling = "x".repeat(FILLING);
    let mut transactions = 0;
    loop {
        let ended = Instant::now();
        if ended.duration_since(began) >= lasts {
            return Ok(Once {
                transactions,
                began,
                ended,
            });
        }
        let number: u32 = random.random_range(1..=1_000_000_000);
        let entry = Entry {
            id: Uuid::now_v7().to_string(),
            key: format!("key-{}", random.random_range(1..=KEYS)),
            payload: format!(r#"{{"number":{number},"filling":"{filling}"}}"#),
        };
        session.execute(&(statement.bind)(&entry))?;
        transactions += 1;
    }
}

/// Pure. None when nothing was done.
fn sum(all: &[Once]) -> Option<Done> {
    let transactions: i64 = all.iter().map(|once| once.transactions).sum();
    let began = all.iter().map(|once| once.began).min()?;
    let ended = all.iter().map(|once| once.ended).max()?;
    (transactions > 0).then(|| Done {
        transactions,
        rate: transactions as f64 / ended.duration_since(began).as_secs_f64(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Once, sum};

    #[test]
    fn time_counts_from_the_first_begin_to_the_last_answer() {
        let zero = Instant::now();
        let after = |seconds| zero + Duration::from_secs(seconds);
        let once = |transactions, began, ended| Once {
            transactions,
            began: after(began),
            ended: after(ended),
        };
        let done = sum(&[once(10, 1, 4), once(30, 0, 3)]);
        assert!(done.is_some_and(|done| done.transactions == 40 && (done.rate - 10.0).abs() < 1e-9));
        assert!(sum(&[once(0, 0, 4)]).is_none());
        assert!(sum(&[]).is_none());
    }
}
