//! Streams of few keys, as a session takes them into transactions, with a clock of their own: what comes of it is counted.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::{Item, Lane, Window};
use crate::consume::held_up::HeldUp;
use crate::event::EntryId;

/// Transactions at a time.
const CONCURRENCY: usize = 4;
/// What a transaction takes besides its events, and each event; one of ten keys is slower. Microseconds.
const BEGIN_AND_COMMIT: u64 = 1_500;
const QUICK: u64 = 300;
const SLOWER: u64 = 900;
/// For so long.
const TIME: u64 = 20_000_000;

#[derive(Debug, Default)]
struct Count {
    events: usize,
    transactions: usize,
    /// Keys that would have been parked.
    named: usize,
    /// For how long the stream was held up.
    held_up: u64,
}

/// A backlog without an end, of so many keys that take turns. `has_parts`: each transaction takes its part of them.
fn apply(keys: u64, most: usize, has_parts: bool) -> Count {
    let mut window = Window::new(1000, usize::MAX);
    let (began, mut now, mut read) = (Instant::now(), 0, 0);
    let mut held_up = HeldUp::default();
    let mut flights: Vec<(u64, Vec<EntryId>)> = Vec::new();
    let mut count = Count::default();
    while now < TIME {
        while window.has_room() {
            read += 1;
            window.push(event(read, keys));
        }
        while flights.len() < CONCURRENCY {
            let free = CONCURRENCY - flights.len();
            let lanes = window.part(most, free, CONCURRENCY).filter(|_| has_parts);
            let items = window.ready_of(&HashSet::new(), most, lanes, |_| true);
            if items.is_empty() {
                break;
            }
            let ids: Vec<EntryId> = items.iter().map(|item| item.id).collect();
            window.start(&ids);
            let took: u64 = items.iter().map(|item| item.payload).sum();
            flights.push((now + BEGIN_AND_COMMIT + took, ids));
            count.transactions += 1;
        }
        flights.sort_by_key(|(ends, _)| Reverse(*ends));
        let (ends, ids) = flights.pop().expect("one is under way");
        count.events += ids.len();
        assert_eq!(window.finish(&ids), []);
        if let Some(head) = window.head_after(&[]) {
            window.pass(head);
        }
        let at = began + Duration::from_micros(ends);
        match window.held_up_by() {
            None => held_up.end(),
            Some(lane) => {
                count.held_up += ends - now;
                held_up.see(lane, at);
                count.named += usize::from(held_up.names(lane, at));
            }
        }
        now = ends;
    }
    count
}

/// The event `n`, with how long its handler takes.
fn event(n: u64, keys: u64) -> Item<u64> {
    let key = n % keys;
    Item {
        id: EntryId::new(1, n),
        chained: true,
        lane: Lane::of_key(&key.to_string()),
        bytes: 10,
        attempts: 0,
        payload: if key % 10 == 3 { SLOWER } else { QUICK },
    }
}

#[test]
fn transactions_of_few_keys_are_full_and_as_many_as_may_be_and_no_key_holds_the_stream_up() {
    for (keys, most) in [(40, 32), (125, 32), (125, 64)] {
        let parts = apply(keys, most, true);
        assert!(
            parts.events > parts.transactions * (most - 1),
            "{keys}: {parts:?}"
        );
        let each = QUICK + (SLOWER - QUICK) / 10;
        let ideal = CONCURRENCY as u64 * TIME / (BEGIN_AND_COMMIT / most as u64 + each);
        assert!(
            parts.events as u64 > ideal * 95 / 100,
            "{keys}: {parts:?} of {ideal}"
        );
        assert_eq!((parts.named, parts.held_up), (0, 0), "{keys}");
    }
}

#[test]
fn without_parts_they_are_not() {
    let (whole, parts) = (apply(125, 64, false), apply(125, 64, true));
    assert!(whole.events * 3 < parts.events * 2, "{whole:?}, {parts:?}");
    assert!(whole.held_up > TIME / 2 && whole.named > 0, "{whole:?}");
    let (whole, parts) = (apply(40, 32, false), apply(40, 32, true));
    assert!(whole.events * 2 < parts.events, "{whole:?}, {parts:?}");
}

#[test]
fn many_keys_are_taken_as_they_come() {
    let (whole, parts) = (apply(1_000, 32, false), apply(1_000, 32, true));
    assert_eq!(
        (whole.events, whole.transactions),
        (parts.events, parts.transactions)
    );
}
