//! Every strategy against every finding.

use super::super::finding::{Identity, UnknownEntries};
use super::*;
use crate::tail::StreamId;

const CLOCK: u64 = 1_795_000_000_000;
/// Where the ledger ends.
const HEAD: u64 = CLOCK - 1_000;

fn id(batch_id: u64, position: u64) -> EntryId {
    EntryId::new(batch_id, position)
}

/// Two streams that agree with a ledger on its own server.
fn agreeing() -> Found {
    Found {
        identity: Identity {
            era: 1,
            system_then: 7,
            system_now: 7,
            timeline_then: 1,
            timeline_now: Some(1),
            next_transaction_then: 100,
            next_transaction_now: 100,
            database_id: "d/1".to_owned(),
            in_recovery: false,
        },
        server_refusal: None,
        refused: None,
        ledger_batch: 9,
        ledger_batch_id: HEAD,
        sequence: 50,
        highest_position_seen: 50,
        highest_batch_id_seen: HEAD,
        events_in_no_batch: 0,
        streams: vec![stream("orders", None), stream("other", None)],
        layouts_ahead: Vec::new(),
        unknown_streams: Vec::new(),
        searched: true,
        prepared: Vec::new(),
        clock_ms: CLOCK,
        unfinished: None,
    }
}

fn stream(topic: &str, partition: Option<u16>) -> StreamFinding {
    let stream = StreamId {
        topic: topic.to_owned(),
        partition,
    };
    StreamFinding {
        key: format!("outbox:{stream}"),
        topic: topic.to_owned(),
        slot: stream.slot(),
        stream,
        is_current: true,
        owes: false,
        layout_end: None,
        layout_end_there: false,
        mark: MarkFinding::Known { batch_id: HEAD },
        top: Some(id(HEAD, 50)),
        generated: Some(id(HEAD, 50)),
        known: Some(id(HEAD, 50)),
        recorded: Some(id(HEAD, 50)),
        last: Some(id(HEAD, 50)),
        unknown: UnknownEntries::default(),
        groups: Vec::new(),
    }
}

/// The first stream has ten entries that the ledger does not know.
fn ahead() -> Found {
    let mut found = agreeing();
    let orders = &mut found.streams[0];
    orders.unknown.count = 10;
    orders.mark = MarkFinding::Unknown { batch_id: HEAD + 10 };
    orders.top = Some(id(HEAD + 10, 60));
    orders.generated = orders.top;
    orders.last = orders.top;
    found.highest_batch_id_seen = HEAD + 10;
    found.highest_position_seen = 60;
    found
}

fn begun(strategy: &str, removing: bool, batch_id: Option<i64>) -> Option<Unfinished> {
    Some(Unfinished {
        number: 3,
        strategy: strategy.to_owned(),
        batch_id,
        removing,
        removed: i64::from(removing),
    })
}

fn with(mut found: Found, change: impl FnOnce(&mut Found)) -> Found {
    change(&mut found);
    found
}

/// What each finding comes to: per strategy, in the order of [`Strategy::ALL`], a word of the refusal; none: it is possible.
#[test]
fn every_strategy_against_every_finding() {
    const POSSIBLE: Option<&str> = None;
    let agree = Some("agree");
    let choose = Some("choose which");
    let all = |word| [Some(word); 4];
    let table: Vec<(&str, Found, [Option<&str>; 4])> = vec![
        ("nothing differs", agreeing(), [agree, agree, agree, POSSIBLE]),
        (
            "a stream has more",
            ahead(),
            [choose, POSSIBLE, POSSIBLE, POSSIBLE],
        ),
        (
            "only the mark says so",
            with(ahead(), |found| found.streams[0].unknown.count = 0),
            [choose, POSSIBLE, POSSIBLE, POSSIBLE],
        ),
        (
            "a stranger added something",
            with(agreeing(), |found| {
                found.streams[0].generated = Some(id(CLOCK, 0))
            }),
            [agree, agree, agree, POSSIBLE],
        ),
        (
            "the server moved",
            with(agreeing(), |found| {
                found.server_refusal = Some("moved".to_owned())
            }),
            [POSSIBLE; 4],
        ),
        (
            "a relay refused something that is not there any more",
            with(agreeing(), |found| {
                found.refused = Some("STREAM-IS-AHEAD".to_owned())
            }),
            [POSSIBLE; 4],
        ),
        (
            "the database moved within its server",
            with(agreeing(), |found| {
                found.streams[1].mark = MarkFinding::Moved {
                    batch_id: HEAD,
                    database_id: "d/2".to_owned(),
                };
            }),
            [POSSIBLE; 4],
        ),
        (
            "another database's stream has more",
            with(ahead(), |found| {
                found.streams[0].mark = MarkFinding::Foreign {
                    database_id: "e/1".to_owned(),
                };
            }),
            [agree, agree, agree, POSSIBLE],
        ),
        (
            "a standby",
            with(ahead(), |found| found.identity.in_recovery = true),
            all("standby"),
        ),
        (
            "more partitions at the sink",
            with(ahead(), |found| {
                found.layouts_ahead.push("outbox:@layout:orders".to_owned())
            }),
            all("more partitions"),
        ),
        (
            "a prepared transaction",
            with(ahead(), |found| {
                found.prepared.push("prepared transaction p".to_owned())
            }),
            all("prepared transaction p"),
        ),
        (
            "an id far ahead of the clock",
            with(ahead(), |found| {
                found.streams[1].generated = Some(id(CLOCK + 2 * FAR_MS, 0))
            }),
            all("outbox:other"),
        ),
        (
            "the same on a stream that is not ours",
            with(ahead(), |found| {
                found.streams[1].generated = Some(id(u64::MAX, 0));
                found.streams[1].mark = MarkFinding::Unreadable {
                    why: "a list".to_owned(),
                };
            }),
            [choose, POSSIBLE, POSSIBLE, POSSIBLE],
        ),
        (
            "a stream with more has not had its earlier layout",
            with(ahead(), |found| found.streams[0].owes = true),
            [
                choose,
                Some("cannot come"),
                Some("cannot come"),
                Some("cannot come"),
            ],
        ),
        (
            "a stream that agrees has not",
            with(ahead(), |found| found.streams[1].owes = true),
            [choose, POSSIBLE, POSSIBLE, Some("cannot come")],
        ),
        (
            "begun, nothing taken off",
            with(ahead(), |found| {
                found.unfinished = begun("trust-database", false, None)
            }),
            [choose, POSSIBLE, POSSIBLE, POSSIBLE],
        ),
        (
            "begun, and taken off",
            with(ahead(), |found| {
                found.unfinished = begun("trust-database", true, None)
            }),
            [Some("abandon"), POSSIBLE, Some("abandon"), POSSIBLE],
        ),
        (
            "begun, and everything taken off",
            with(agreeing(), |found| {
                found.unfinished = begun("republish", true, None)
            }),
            [Some("abandon"), POSSIBLE, Some("abandon"), POSSIBLE],
        ),
        (
            "its era is there, and something else is in the way by now",
            with(ahead(), |found| {
                found.unfinished = begun("trust-stream", false, Some(5));
                found.layouts_ahead.push("outbox:@layout:orders".to_owned());
            }),
            [
                Some("its era is there"),
                Some("its era is there"),
                POSSIBLE,
                Some("its era is there"),
            ],
        ),
    ];
    for (name, found, expected) in table {
        for (strategy, expected) in Strategy::ALL.into_iter().zip(expected) {
            let refusal = plan(&found, strategy).err();
            let told = choices(&found)
                .into_iter()
                .find(|choice| choice.strategy == strategy.word())
                .and_then(|choice| choice.refusal);
            assert_eq!(
                refusal,
                told,
                "{name}, {}: the preview says the same",
                strategy.word()
            );
            match expected {
                None => assert_eq!(refusal, None, "{name}, {}", strategy.word()),
                Some(word) => assert!(
                    refusal.as_ref().is_some_and(|why| why.contains(word)),
                    "{name}, {}: {refusal:?}",
                    strategy.word()
                ),
            }
        }
    }
}

/// What the first stream goes on behind.
fn first(found: &Found, strategy: Strategy) -> StreamPlan {
    let plan = plan(found, strategy).unwrap();
    plan.streams
        .into_iter()
        .find(|stream| stream.topic == "orders")
        .unwrap()
}

#[test]
fn a_stream_that_has_more_goes_on_behind_what_is_known_or_what_is_there() {
    let found = ahead();
    let database = first(&found, Strategy::TrustDatabase);
    assert_eq!((database.behind, database.chain), (id(HEAD, 50), id(HEAD, 50)));
    let stream = first(&found, Strategy::TrustStream);
    assert_eq!((stream.behind, stream.chain), (id(HEAD, 50), id(HEAD + 10, 60)));
    assert!(database.there && stream.there && database.begins.is_none() && stream.begins.is_none());
    let plan = plan(&found, Strategy::TrustDatabase).unwrap();
    assert_eq!(plan.streams.len(), 1, "the other stream goes on by its progress");
    assert_eq!((plan.above_batch_id, plan.above_position), (HEAD + 10, 60));
}

#[test]
fn what_is_there_no_more_is_told_by_what_was_recorded() {
    let mut found = ahead();
    (found.streams[0].known, found.streams[0].last) = (None, None);
    let database = first(&found, Strategy::TrustDatabase);
    assert_eq!(
        (database.behind, database.chain, database.there),
        (id(HEAD, 50), id(HEAD, 50), false)
    );
}

#[test]
fn a_stream_with_higher_ids_goes_on_with_fresh_ones_behind_what_is_known() {
    let mut found = agreeing();
    found.server_refusal = Some("moved".to_owned());
    found.streams[0].generated = Some(id(CLOCK, 0));
    let moved = first(&found, Strategy::Continue);
    assert_eq!(
        (moved.behind, moved.chain, moved.there),
        (id(HEAD, 50), id(HEAD, 50), true)
    );
    assert_eq!(plan(&found, Strategy::Continue).unwrap().streams.len(), 1);
}

#[test]
fn what_is_put_out_again_begins_anew_or_behind_the_layout_before() {
    let mut found = ahead();
    let again = first(&found, Strategy::Republish);
    assert_eq!((again.behind, again.chain), (EntryId::MIN, id(HEAD, 50)));
    assert_eq!(again.begins, Some(EntryId::MIN));
    (found.streams[0].layout_end, found.streams[0].layout_end_there) = (Some(id(HEAD - 9, 0)), true);
    let again = first(&found, Strategy::Republish);
    assert_eq!((again.begins, again.begins_there), (Some(id(HEAD - 9, 0)), true));
    // One of an earlier layout takes nothing more.
    found.streams[0].is_current = false;
    assert_eq!(first(&found, Strategy::Republish).begins, None);
    found.streams[1].is_current = false;
    assert_eq!(plan(&found, Strategy::Republish).unwrap().streams.len(), 1);
}

#[test]
fn only_what_was_begun_and_is_not_opened_is_given_up() {
    assert!(abandonable(None).unwrap_err().contains("nothing to give up"));
    let opened = begun("continue", false, Some(5));
    assert!(abandonable(opened).unwrap_err().contains("--strategy continue"));
    assert_eq!(
        abandonable(begun("continue", false, None)).map(|given_up| given_up.number),
        Ok(3)
    );
}
