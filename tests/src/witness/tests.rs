//! The oracle catches each fault it is there for, and only that one.

use uuid::Uuid;

use super::{Verdict, Witness};
use crate::journal::{Fact, Journal, Outcome};
use crate::stream::{Entry, EntryId};

const TOPIC: &str = "orders.placed";

/// Two keys, two events each, all committed.
fn journal() -> (Journal, Vec<Uuid>) {
    let mut journal = Journal::default();
    let ids = [("a", 1), ("b", 1), ("a", 2), ("b", 2)]
        .map(|(key, number)| record(&mut journal, key, number, Outcome::Committed));
    (journal, ids.to_vec())
}

fn record(journal: &mut Journal, key: &str, number: i64, outcome: Outcome) -> Uuid {
    let id = Uuid::now_v7();
    journal.record(
        Fact {
            id,
            topic: TOPIC.to_owned(),
            key: key.to_owned(),
            number,
        },
        outcome,
    );
    id
}

/// A stream with these events and a whole chain.
fn stream(ids: &[Uuid]) -> Vec<Entry> {
    let mut position = 0;
    ids.iter()
        .map(|event_id| {
            position += 1;
            let previous_id = (position > 1).then(|| EntryId(7, position - 1));
            Entry {
                id: EntryId(7, position),
                event_id: *event_id,
                previous_id,
                json: String::new(),
            }
        })
        .collect()
}

fn judge(journal: &Journal, ids: &[Uuid]) -> Verdict {
    Witness::new(journal).stream(TOPIC, &stream(ids)).verdict()
}

/// How many were lost, phantom, doubled, reordered and broken.
fn counts(verdict: &Verdict) -> [usize; 5] {
    [
        &verdict.lost,
        &verdict.phantom,
        &verdict.doubled,
        &verdict.reordered,
        &verdict.broken_chain,
    ]
    .map(Vec::len)
}

#[test]
fn what_is_whole_passes() {
    let (journal, ids) = journal();
    let verdict = judge(&journal, &ids);
    assert_eq!(counts(&verdict), [0; 5]);
    assert!(verdict.clean().is_ok());
}

#[test]
fn a_run_in_which_nothing_happened_fails() {
    assert!(judge(&Journal::default(), &[]).clean().is_err());
    let mut journal = Journal::default();
    record(&mut journal, "a", 1, Outcome::RolledBack);
    assert!(judge(&journal, &[]).clean().is_err());
}

#[test]
fn a_missing_event_is_lost() {
    let (journal, ids) = journal();
    let verdict = judge(&journal, &ids[..3]);
    assert_eq!(counts(&verdict), [1, 0, 0, 0, 0]);
    assert!(verdict.clean().is_err());
}

#[test]
fn an_event_rolled_back_or_never_appended_or_of_another_topic_is_a_phantom() {
    let (mut journal, mut ids) = journal();
    ids.push(record(&mut journal, "a", 3, Outcome::RolledBack));
    ids.push(Uuid::now_v7());
    assert_eq!(counts(&judge(&journal, &ids)), [0, 2, 0, 0, 0]);
    let elsewhere = Witness::new(&journal)
        .stream("payments.taken", &stream(&ids[..1]))
        .verdict();
    assert_eq!(counts(&elsewhere), [0, 1, 0, 0, 0]);
}

#[test]
fn an_unknown_commit_may_be_there_or_not() {
    let (mut journal, mut ids) = journal();
    let unknown = record(&mut journal, "a", 3, Outcome::Unknown);
    assert_eq!(counts(&judge(&journal, &ids)), [0; 5]);
    ids.push(unknown);
    assert_eq!(counts(&judge(&journal, &ids)), [0; 5]);
}

#[test]
fn an_event_that_comes_again_is_doubled_unless_the_test_declared_a_cause() {
    let (journal, mut ids) = journal();
    ids.push(ids[0]);
    assert_eq!(counts(&judge(&journal, &ids)), [0, 0, 1, 0, 0]);
    let verdict = Witness::new(&journal)
        .account_for([ids[0]])
        .stream(TOPIC, &stream(&ids))
        .verdict();
    assert_eq!((counts(&verdict), verdict.accounted), ([0; 5], 1));
}

#[test]
fn order_counts_within_a_key_only() {
    let (journal, ids) = journal();
    assert_eq!(
        counts(&judge(&journal, &[ids[1], ids[0], ids[3], ids[2]])),
        [0; 5]
    );
    assert_eq!(
        counts(&judge(&journal, &[ids[2], ids[1], ids[0], ids[3]])),
        [0, 0, 0, 1, 0]
    );
}

#[test]
fn an_entry_with_another_predecessor_breaks_the_chain() {
    let (journal, ids) = journal();
    let mut entries = stream(&ids);
    entries[2].previous_id = Some(EntryId(7, 1));
    entries[0].previous_id = Some(EntryId(6, 9));
    assert_eq!(
        counts(&Witness::new(&journal).stream(TOPIC, &entries).verdict()),
        [0, 0, 0, 0, 2]
    );
}

#[test]
fn effects_are_judged_like_streams() {
    let (journal, ids) = journal();
    let done = [ids[2], ids[0], ids[0], ids[1]];
    let verdict = Witness::new(&journal).effects("stock", &[TOPIC], done).verdict();
    assert_eq!(counts(&verdict), [1, 0, 1, 1, 0]);
}

#[test]
fn what_was_not_answered_may_be_missing_or_there_but_everywhere_once_and_in_order() {
    let (mut journal, ids) = journal();
    let unknown = record(&mut journal, "a", 3, Outcome::Unknown);
    let with: Vec<Uuid> = ids.iter().copied().chain([unknown]).collect();
    // Missing everywhere, or there everywhere.
    for all in [&ids, &with] {
        let verdict = Witness::new(&journal)
            .stream(TOPIC, &stream(all))
            .effects("stock", &[TOPIC], all.iter().copied())
            .verdict();
        assert_eq!(counts(&verdict), [0; 5], "{verdict}");
    }
    // On the stream, and not at the consumer.
    let verdict = Witness::new(&journal)
        .stream(TOPIC, &stream(&with))
        .effects("stock", &[TOPIC], ids.iter().copied())
        .verdict();
    assert_eq!(counts(&verdict), [1, 0, 0, 0, 0], "{verdict}");
    // Twice, and before an earlier one of its key.
    let twice: Vec<Uuid> = with.iter().copied().chain([unknown]).collect();
    assert_eq!(counts(&judge(&journal, &twice)), [0, 0, 1, 0, 0]);
    let early = [ids[0], unknown, ids[1], ids[2], ids[3]];
    assert_eq!(counts(&judge(&journal, &early)), [0, 0, 0, 1, 0]);
}

#[test]
fn what_is_left_of_a_trimmed_stream_may_lack_its_beginning_and_nothing_else() {
    let (journal, ids) = journal();
    let whole = stream(&ids);
    let judge = |entries: &[Entry]| {
        let streams = [("outbox:t".to_owned(), entries.to_vec())];
        counts(&Witness::new(&journal).rest(TOPIC, &streams).verdict())
    };
    // Its beginning, and all of it, may be gone.
    assert_eq!(judge(&whole[2..]), [0, 0, 0, 0, 0]);
    assert_eq!(judge(&[]), [0, 0, 0, 0, 0]);
    // Something in the middle may not.
    let gap = [whole[0].clone(), whole[2].clone()];
    assert_eq!(judge(&gap), [0, 0, 0, 0, 1]);
    // Nothing may be there twice, out of order, or that was never committed.
    let mut twice = stream(&[ids[2], ids[2]]);
    assert_eq!(judge(&twice), [0, 0, 1, 0, 0]);
    twice = stream(&[ids[2], ids[0]]);
    assert_eq!(judge(&twice), [0, 0, 0, 1, 0]);
    assert_eq!(judge(&stream(&[Uuid::now_v7()])), [0, 1, 0, 0, 0]);
}
