use super::*;
use crate::event::{EntryId, Event};
use crate::publish::lane::{Gate, Portion};
use crate::tail::batch::Share;
use crate::tail::layout::{Generation, Laid};
use crate::tail::reissue::Above;
use crate::tail::row::Content;

const PARTITIONS: u16 = 4;
const BATCH: i64 = 7;
const END: Place = Place {
    batch_number: 9,
    position: 0,
};

fn stream(partition: u16) -> StreamId {
    StreamId {
        topic: "t".to_owned(),
        partition: Some(partition),
    }
}

fn share(partition: u16, batch_number: i64, first_position: i64, last_position: i64) -> BoundShare {
    BoundShare {
        batch_number,
        batch_id: batch_number.unsigned_abs(),
        snapshot: "9:9:".parse().unwrap(),
        before: "3:3:".parse().unwrap(),
        passed: Vec::new(),
        era_floor: 0,
        share: Share {
            stream: stream(partition),
            partitions: PARTITIONS,
            event_count: 1,
            first_position,
            last_position,
            first_new_position: Some(first_position),
        },
        laid: None,
    }
}

fn row(partition: u16, position: i64) -> Row {
    Row {
        position,
        stream: Arc::new(stream(partition)),
        content: Content::Event(Box::new(Event::new(position.to_string(), "/s", "t"))),
        bytes: 10,
    }
}

/// Lanes behind everything; each is in the middle of the share 1..=100 of the batch, up to where it has seen it, or of none.
fn lanes(seen: &[Option<i64>]) -> BTreeMap<StreamId, Lane> {
    let mut lanes = BTreeMap::new();
    for (partition, seen) in (0..).zip(seen) {
        let mut lane = Lane::new(stream(partition), Place::default(), EntryId::MIN, END);
        if let Some(seen) = seen {
            lane.reading_share = Some(share(partition, BATCH, 1, 100));
            lane.seen = Place {
                batch_number: BATCH,
                position: *seen,
            };
        }
        lanes.insert(stream(partition), lane);
    }
    lanes
}

fn partitions(reading: &Reading) -> Vec<u16> {
    let of = reading
        .readers
        .iter()
        .filter_map(|reader| reader.stream.partition);
    of.collect()
}

/// A share of an era: of what an earlier snapshot sees, only what is above a position.
fn share_of_an_era(partition: u16, above: i64) -> BoundShare {
    let mut share = share(partition, BATCH, 1, 100);
    share.passed = vec![Above {
        snapshot: "5:5:".parse().unwrap(),
        position: above,
    }];
    share
}

#[test]
fn shares_whose_rows_are_told_in_different_ways_are_not_read_together() {
    // Both in the middle of their shares, at the same place.
    let mut begun = lanes(&[Some(20), Some(20), Some(30)]);
    for (partition, above) in [(0, 0), (1, 90), (2, 90)] {
        begun.get_mut(&stream(partition)).unwrap().reading_share = Some(share_of_an_era(partition, above));
    }
    let reading = gather(&begun, &stream(0), 10, 1_000).unwrap();
    assert_eq!(partitions(&reading), [0]);
    assert_eq!(
        reading.meet, None,
        "nor does one stop where such another one stands"
    );
    let reading = gather(&begun, &stream(1), 10, 1_000).unwrap();
    assert_eq!((partitions(&reading), reading.meet), (vec![1], Some(30)));
    // Both about to begin: what they will read is known only when the shares are found.
    let mut reading = gather(&lanes(&[None, None, None]), &stream(0), 10, 1_000).unwrap();
    reading.begin(vec![
        share_of_an_era(0, 0),
        share_of_an_era(1, 90),
        share_of_an_era(2, 0),
    ]);
    let waiting = reading.take_waiting();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].stream, stream(1));
    assert!(!waiting[0].lacks_rows(), "it is read next");
    assert_eq!(partitions(&reading), [0, 2]);
    assert_eq!(reading.section().unwrap().last_position, 100);
}

#[test]
fn after_a_large_payload_the_bytes_are_summed_up_until_none_is_large() {
    let mut lanes = lanes(&[Some(20), Some(20)]);
    let most = |lanes: &BTreeMap<StreamId, Lane>| {
        let reading = gather(lanes, &stream(0), 10, 20_000).unwrap();
        let (rows, bytes) = reading.limits();
        assert_eq!((rows, bytes), (20, 40_000));
        reading.section().unwrap().widest_payload(rows, bytes)
    };
    assert_eq!(
        most(&lanes),
        2_000 - 512,
        "with so many rows the sum is within its bound"
    );
    for (batch_number, bytes, expected) in [(1, 2_001, 0), (2, 2_000, 1_488)] {
        let mut brought = row(1, 1);
        brought.bytes = bytes;
        lanes.get_mut(&stream(1)).unwrap().hold(Portion {
            batch_number,
            batch_id: 1,
            rows: VecDeque::from([brought]),
            is_again: false,
        });
        // It stands where it stood: only what it was brought is another.
        lanes.get_mut(&stream(1)).unwrap().handed = Place::default();
        assert_eq!(most(&lanes), expected);
    }
}

#[test]
fn partitions_that_stand_at_the_same_place_read_together_and_one_that_is_full_or_stopped_does_not() {
    let mut lanes = lanes(&[Some(20), Some(20), Some(20), Some(20)]);
    lanes.get_mut(&stream(1)).unwrap().gate = Gate::SetAside;
    let full = lanes.get_mut(&stream(2)).unwrap();
    for batch_number in 1..=4 {
        full.hold(Portion {
            batch_number,
            batch_id: batch_number.unsigned_abs(),
            rows: VecDeque::from([row(2, 1)]),
            is_again: false,
        });
    }
    let reading = gather(&lanes, &stream(3), 1_000, 2_000).unwrap();
    assert_eq!(partitions(&reading), [0, 3]);
    assert_eq!((reading.limits(), reading.meet), ((2_000, 4_000), None));
    let section = reading.section().unwrap();
    assert_eq!(
        (section.after, section.last_position, section.only),
        (20, 100, None)
    );
}

#[test]
fn one_that_lags_reads_alone_up_to_where_another_stands() {
    let lanes = lanes(&[Some(60), Some(20), Some(90), Some(60)]);
    let reading = gather(&lanes, &stream(1), 1_000, 2_000).unwrap();
    assert_eq!(partitions(&reading), [1]);
    let section = reading.section().unwrap();
    assert_eq!((section.after, section.last_position), (20, 60));
    assert_eq!(section.only, Some(vec![1]));
    // Nothing of its own there: it is not missing anything, and has seen it.
    let brought = reading.split(&section, Vec::new());
    assert!(!brought[0].lacks_rows());
    assert_eq!(brought[0].seen, 60);
}

#[test]
fn whoever_has_no_share_yet_gets_it_and_those_of_the_earliest_batch_read() {
    let lanes = lanes(&[None, None, None, Some(5)]);
    let mut reading = gather(&lanes, &stream(0), 1_000, 2_000).unwrap();
    assert_eq!(partitions(&reading), [0, 1, 2]);
    reading.begin(vec![
        share(0, 8, 200, 300),
        share(1, BATCH, 40, 70),
        share(2, BATCH, 30, 60),
    ]);
    assert!(reading.take_ready("d").is_empty());
    let waiting = reading.take_waiting();
    assert_eq!(waiting.len(), 1);
    assert!(waiting[0].stream == stream(0) && waiting[0].share.is_some() && !waiting[0].lacks_rows());
    let section = reading.section().unwrap();
    assert_eq!((section.after, section.last_position), (29, 70));
}

#[test]
fn after_a_takeover_the_one_furthest_behind_reads_to_the_next() {
    let mut lanes = lanes(&[None, None]);
    for (partition, position) in [(0, 50), (1, 30)] {
        let lane = lanes.get_mut(&stream(partition)).unwrap();
        let progress = Place {
            batch_number: BATCH,
            position,
        };
        *lane = Lane::new(stream(partition), progress, EntryId::new(7, 1), END);
    }
    let mut reading = gather(&lanes, &stream(0), 1_000, 2_000).unwrap();
    reading.begin(vec![share(0, BATCH, 1, 100), share(1, BATCH, 2, 99)]);
    let waiting = reading.take_waiting();
    assert_eq!((waiting[0].stream.partition, waiting[0].seen), (Some(0), 50));
    let section = reading.section().unwrap();
    assert_eq!((section.after, section.last_position), (30, 50));
}

#[test]
fn each_gets_its_own_rows_and_has_seen_what_was_read() {
    let lanes = lanes(&[Some(0), Some(0), Some(0)]);
    let reading = gather(&lanes, &stream(0), 2, 1_000_000).unwrap();
    let section = reading.section().unwrap();
    let rows = vec![row(0, 1), row(3, 2), row(1, 3), row(0, 4), row(0, 5), row(1, 6)];
    let brought = reading.split(&section, rows);
    let told: Vec<(Option<u16>, usize, i64)> = brought
        .iter()
        .map(|brought| (brought.stream.partition, brought.rows.len(), brought.seen))
        .collect();
    // As many as were asked for: what comes behind the last one was not looked at.
    assert_eq!(told, [(Some(0), 3, 6), (Some(1), 2, 6), (Some(2), 0, 6)]);
    assert!(brought.iter().all(|brought| !brought.lacks_rows()));
}

#[test]
fn rows_that_the_ledger_has_and_the_log_does_not_are_missed() {
    let lanes = lanes(&[Some(0), Some(0)]);
    let reading = gather(&lanes, &stream(0), 1_000, 1_000_000).unwrap();
    let section = reading.section().unwrap();
    let brought = reading.split(&section, vec![row(0, 100)]);
    assert!(!brought[0].lacks_rows() && brought[1].lacks_rows());
}

#[test]
fn the_entry_that_says_that_the_topic_moved_on_needs_no_rows() {
    let lanes = lanes(&[None]);
    let mut reading = gather(&lanes, &stream(0), 1_000, 1_000_000).unwrap();
    let mut last = share(0, 8, 0, 0);
    last.laid = Some(Laid {
        topic: "t".to_owned(),
        generation: Generation {
            number: 1,
            partitions: 8,
            batch_id: 8,
            moved: true,
        },
        before: PARTITIONS,
        at: time::OffsetDateTime::UNIX_EPOCH,
    });
    reading.begin(vec![last]);
    let ready = reading.take_ready("d");
    assert_eq!((ready[0].rows.len(), ready[0].lacks_rows()), (1, false));
    assert!(reading.section().is_none());
}
