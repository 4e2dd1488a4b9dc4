//! The judge, before histories in which one thing is wrong: each is found, by its name.

use std::collections::HashMap;

use system_tests::journal::{Fact, Journal, Outcome};
use system_tests::stream::{Entry, EntryId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::judge;
use crate::chaos::ground::{ACCOUNTS, AUDITED, BANK, LISTS, OPENING, POISONED};
use crate::chaos::load::Bank;
use crate::chaos::sight::{Effect, Sight};

const KEYS: i64 = 2;
const EVENTS_OF_EACH: i64 = 3;

/// A run in which everything is right: two keys of each topic, three events of each key.
struct Run {
    journal: Journal,
    bank: Bank,
    sight: Sight,
}

fn id(number: u64) -> Uuid {
    Uuid::from_u128(u128::from(number) + 1)
}

impl Run {
    fn well() -> Self {
        let (mut journal, mut bank, mut sight) = (Journal::default(), Bank::default(), Sight::default());
        let mut accounts: HashMap<i32, i64> = (0..ACCOUNTS).map(|number| (number, OPENING)).collect();
        let mut number = 0;
        for topic in AUDITED.into_iter().chain([POISONED]) {
            let (mut entries, mut before) = (Vec::new(), None);
            for turn in 0..KEYS * EVENTS_OF_EACH {
                let (event, key) = (id(number), format!("key-{}", turn % KEYS));
                number += 1;
                let fact = Fact {
                    id: event,
                    topic: topic.to_owned(),
                    key: format!("{topic}/{key}"),
                    number: turn,
                };
                journal.record(fact, Outcome::Committed);
                let at = EntryId(number, 1);
                entries.push(Entry {
                    id: at,
                    event_id: event,
                    previous_id: before.replace(at),
                    json: "{}".to_owned(),
                });
                if topic == POISONED {
                    sight.ending.applied.push(event);
                    continue;
                }
                if topic == BANK {
                    bank.transfers.insert(event, (0, 1, 5));
                    *accounts.entry(0).or_default() -= 5;
                    *accounts.entry(1).or_default() += 5;
                }
                *sight.tallies.entry((topic.to_owned(), key)).or_default() += 1;
                sight.effects.push(Effect {
                    id: event,
                    topic: topic.to_owned(),
                    at: OffsetDateTime::UNIX_EPOCH,
                });
            }
            let streams = vec![(format!("outbox:{topic}"), entries)];
            sight.streams.push((topic.to_owned(), streams));
        }
        sight.accounts = accounts.into_iter().collect();
        Self { journal, bank, sight }
    }

    /// What is said of it.
    fn wrong(&self, has_lost: bool) -> String {
        let findings = judge(&self.sight, &self.journal, &self.bank, has_lost);
        findings.wrong().unwrap_or_default()
    }

    fn on_stream(&mut self) -> &mut Vec<Entry> {
        &mut self.sight.streams[0].1[0].1
    }

    fn rolled_back(&mut self) -> Uuid {
        let fact = Fact {
            id: id(10_000),
            topic: LISTS.to_owned(),
            key: format!("{LISTS}/key-0"),
            number: 1_000,
        };
        self.journal.record(fact, Outcome::RolledBack);
        id(10_000)
    }
}

/// How many of these are said to be at that place.
fn found(said: &str, place: &str, word: &str) -> usize {
    let of_place = said.split_once(place).map_or("", |(_, rest)| rest);
    let of_place = of_place.split("\nconsumers:").next().unwrap_or_default();
    let number = |part: &str| part.trim().strip_suffix(word)?.trim().parse().ok();
    of_place.split([',', '\n']).find_map(number).unwrap_or(0)
}

fn says(said: &str, place: &str, finding: &str) {
    assert!(
        found(said, place, finding) > 0,
        "{place} {finding} is missing in: {said}"
    );
}

fn says_one(said: &str, place: &str, finding: &str) {
    assert_eq!(found(said, place, finding), 1, "{place} {finding} in: {said}");
}

#[test]
fn a_run_in_which_everything_is_right_is_said_to_be_so() {
    let mut run = Run::well();
    assert_eq!(run.wrong(false), "");
    assert_eq!(run.wrong(true), "");
    // Not answered, and nowhere: it never was.
    let fact = run.journal.get(&id(0)).map(|(fact, _)| fact.clone());
    let mut fact = fact.unwrap_or_else(|| unreachable!("it was recorded"));
    (fact.id, fact.number) = (id(20_000), 1_000);
    run.journal.record(fact, Outcome::Unknown);
    assert_eq!(run.wrong(false), "");
    let findings = judge(&run.sight, &run.journal, &run.bank, false);
    assert_eq!(findings.idle(6), None);
    assert!(findings.idle(7).is_some_and(|idle| idle.contains("stock had 6")));
}

#[test]
fn one_lost_event_is_found_at_a_consumer_and_on_a_stream_also_after_a_loss() {
    let mut run = Run::well();
    run.sight.effects.remove(0);
    says_one(&run.wrong(false), "consumers:", "lost");
    let mut run = Run::well();
    run.sight.ending.applied.pop();
    says_one(&run.wrong(true), "consumers:", "lost");
    let mut run = Run::well();
    run.on_stream().pop();
    says_one(&run.wrong(false), "streams:", "lost");
    says_one(&run.wrong(true), "streams:", "lost");
}

#[test]
fn one_phantom_is_found_at_a_consumer_and_on_a_stream_also_after_a_loss() {
    let mut run = Run::well();
    let event_id = run.rolled_back();
    let entries = run.on_stream();
    let previous_id = entries.last().map(|entry| entry.id);
    entries.push(Entry {
        id: EntryId(50_000, 1),
        event_id,
        previous_id,
        json: "{}".to_owned(),
    });
    says_one(&run.wrong(false), "streams:", "phantom");
    says_one(&run.wrong(true), "streams:", "phantom");
    let mut run = Run::well();
    let event_id = run.rolled_back();
    run.sight.effects.push(Effect {
        id: event_id,
        topic: LISTS.to_owned(),
        at: OffsetDateTime::UNIX_EPOCH,
    });
    says_one(&run.wrong(true), "consumers:", "phantom");
}

#[test]
fn one_second_effect_is_found_in_every_case_and_a_second_entry_where_redis_kept_its_data() {
    let mut run = Run::well();
    let again = run.sight.effects[0].clone();
    run.sight.effects.push(again);
    says_one(&run.wrong(false), "consumers:", "doubled");
    says_one(&run.wrong(true), "consumers:", "doubled");
    let mut run = Run::well();
    let again = run.sight.ending.applied[0];
    run.sight.ending.applied.push(again);
    says_one(&run.wrong(true), "consumers:", "doubled");
    let mut run = Run::well();
    let entries = run.on_stream();
    let again = entries[0].clone();
    entries.push(again);
    says_one(&run.wrong(false), "streams:", "doubled");
    assert_eq!(run.wrong(true), "", "after a loss entries come again");
    let findings = judge(&run.sight, &run.journal, &run.bank, true);
    assert_eq!(findings.put_out_again, 1);
}

#[test]
fn one_reorder_is_found_in_every_case_at_a_consumer_and_on_a_stream_where_redis_kept_its_data() {
    let last = usize::try_from((EVENTS_OF_EACH - 1) * KEYS).unwrap_or_default();
    let mut run = Run::well();
    run.sight.effects.swap(0, last);
    says(&run.wrong(false), "consumers:", "reordered");
    says(&run.wrong(true), "consumers:", "reordered");
    let mut run = Run::well();
    let entries = run.on_stream();
    let (first, other) = (entries[0].event_id, entries[last].event_id);
    (entries[0].event_id, entries[last].event_id) = (other, first);
    says(&run.wrong(false), "streams:", "reordered");
}

#[test]
fn books_that_do_not_add_up_and_a_key_counted_once_too_often_are_found() {
    let mut run = Run::well();
    run.sight.accounts[0].1 += 1;
    let said = run.wrong(true);
    assert!(said.contains("the bank has 12001 in all"), "{said}");
    let mut run = Run::well();
    run.sight
        .tallies
        .entry((LISTS.to_owned(), "key-0".to_owned()))
        .and_modify(|events| *events += 1);
    let said = run.wrong(true);
    assert!(
        said.contains("was counted Some(4) times and has Some(3)"),
        "{said}"
    );
}

#[test]
fn a_chain_that_names_another_predecessor_is_found() {
    let mut run = Run::well();
    run.on_stream()[2].previous_id = Some(EntryId(49_000, 1));
    says_one(&run.wrong(false), "streams:", "broken in the chain");
}
