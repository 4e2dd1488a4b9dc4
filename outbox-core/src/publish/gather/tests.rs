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
        snapshot: "9:9:".parse().expect("a snapshot"),
        before: "3:3:".parse().expect("a snapshot"),
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

fn chunk(rows: usize, bytes: usize) -> Chunk {
    Chunk { rows, bytes }
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
    let reading = gather(&begun, &stream(0), chunk(10, 1_000), |_| true).unwrap();
    assert_eq!(partitions(&reading), [0]);
    assert_eq!(
        reading.meet, None,
        "nor does one stop where such another one stands"
    );
    let reading = gather(&begun, &stream(1), chunk(10, 1_000), |_| true).unwrap();
    assert_eq!((partitions(&reading), reading.meet), (vec![1], Some(30)));
    // Both about to begin: what they will read is known only when the shares are found.
    let mut reading = gather(&lanes(&[None, None, None]), &stream(0), chunk(10, 1_000), |_| {
        true
    })
    .unwrap();
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
fn while_payloads_are_large_fewer_rows_are_read_and_after_a_larger_one_the_bytes_are_summed_up() {
    let mut lanes = lanes(&[Some(20), Some(20)]);
    let most = |lanes: &BTreeMap<StreamId, Lane>| {
        let reading = gather(lanes, &stream(0), chunk(10, 20_000), |_| true).unwrap();
        let (rows, bytes) = reading.limits();
        assert_eq!(bytes, 40_000, "whatever the rows are");
        (rows, reading.section().unwrap().widest_payload(rows, bytes))
    };
    let bring = |lanes: &mut BTreeMap<StreamId, Lane>, partition, batch_number, bytes| {
        let mut brought = row(partition, 1);
        brought.bytes = bytes;
        let lane = lanes.get_mut(&stream(partition)).unwrap();
        lane.hold(Portion {
            batch_number,
            batch_id: 1,
            rows: VecDeque::from([brought]),
            is_again: false,
        });
        assert_eq!(lane.confirm(1).len(), 1);
        // It stands where it stood: only what it was brought is another.
        lane.handed = Place::default();
    };
    assert_eq!(most(&lanes), (10, 4_000 - 512), "nothing is known of either");
    for batch_number in 1..=8 {
        assert_eq!(most(&lanes).0, 10);
        bring(&mut lanes, 0, batch_number, 2_000);
        bring(&mut lanes, 1, batch_number, 2_000);
    }
    assert_eq!(
        most(&lanes),
        (20, 2_000 - 512),
        "with so many rows the sum is within its bound"
    );
    bring(&mut lanes, 1, 9, 2_001);
    assert_eq!(most(&lanes), (10, 4_000 - 512));
    bring(&mut lanes, 1, 10, 4_001);
    assert_eq!(most(&lanes), (10, 0));
    for batch_number in 11..=18 {
        bring(&mut lanes, 1, batch_number, 2_000);
        let expected = if batch_number < 18 {
            (10, 4_000 - 512)
        } else {
            (20, 2_000 - 512)
        };
        assert_eq!(most(&lanes), expected, "batch {batch_number}");
    }
}

#[test]
fn partitions_that_stand_at_the_same_place_read_together_and_one_that_is_full_or_stopped_does_not() {
    let mut lanes = lanes(&[Some(20), Some(20), Some(20), Some(20)]);
    lanes.get_mut(&stream(1)).unwrap().gate = Gate::SetAside;
    let full = lanes.get_mut(&stream(2)).unwrap();
    full.hold(Portion {
        batch_number: 1,
        batch_id: 1,
        rows: (1..=4_000).map(|position| row(2, position)).collect(),
        is_again: false,
    });
    let reading = gather(&lanes, &stream(3), chunk(1_000, 1_000_000), |_| true).unwrap();
    assert_eq!(partitions(&reading), [0, 3]);
    assert_eq!((reading.limits(), reading.meet), ((1_000, 2_000_000), None));
    let section = reading.section().unwrap();
    assert_eq!(
        (section.after, section.last_position, section.only),
        (20, 100, None)
    );
}

#[test]
fn who_may_not_send_what_it_holds_is_brought_no_more() {
    let lanes = lanes(&[Some(20), Some(20), Some(20)]);
    let may_send = |lane: &Lane| lane.stream != stream(1);
    let reading = gather(&lanes, &stream(0), chunk(1_000, 1_000_000), may_send).unwrap();
    assert_eq!((partitions(&reading), reading.meet), (vec![0, 2], None));
}

#[test]
fn one_that_lags_reads_alone_up_to_where_another_stands() {
    let lanes = lanes(&[Some(60), Some(20), Some(90), Some(60)]);
    let reading = gather(&lanes, &stream(1), chunk(1_000, 2_000), |_| true).unwrap();
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
    let mut reading = gather(&lanes, &stream(0), chunk(1_000, 2_000), |_| true).unwrap();
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
    let mut reading = gather(&lanes, &stream(0), chunk(1_000, 2_000), |_| true).unwrap();
    reading.begin(vec![share(0, BATCH, 1, 100), share(1, BATCH, 2, 99)]);
    let waiting = reading.take_waiting();
    assert_eq!((waiting[0].stream.partition, waiting[0].seen), (Some(0), 50));
    let section = reading.section().unwrap();
    assert_eq!((section.after, section.last_position), (30, 50));
}

#[test]
fn one_waits_where_others_are_being_read_and_where_one_without_room_will_have_some() {
    let chunk = chunk(10, 1_000_000);
    let wait = |lanes: &BTreeMap<StreamId, Lane>| {
        let waited_for = waited_for(lanes, chunk);
        waits(lanes, &waited_for, &lanes[&stream(0)], chunk)
    };
    let mut lanes = lanes(&[Some(20), Some(20), Some(30), None]);
    assert!(!wait(&lanes));
    for partition in [2, 3] {
        lanes.get_mut(&stream(partition)).unwrap().reading = true;
    }
    assert!(!wait(&lanes), "they stand elsewhere");
    lanes.get_mut(&stream(0)).unwrap().reading = true;
    assert!(!wait(&lanes), "nor for itself");
    lanes.get_mut(&stream(1)).unwrap().reading = true;
    assert!(wait(&lanes), "it is at another place when they are back");
    let full = lanes.get_mut(&stream(1)).unwrap();
    full.reading = false;
    full.publishing = true;
    for (held, is_waited_for) in [(39, false), (40, true), (59, true), (60, false)] {
        let full = lanes.get_mut(&stream(1)).unwrap();
        let has = full.held_bytes() / 10;
        let rows = (has + 1..=held).map(|n| row(1, i64::try_from(n).unwrap()));
        // Of an earlier batch: it stands where it stood.
        full.hold(Portion {
            batch_number: BATCH - 1,
            batch_id: 6,
            rows: rows.collect(),
            is_again: false,
        });
        assert_eq!(wait(&lanes), is_waited_for, "{held} rows");
    }
    let full = lanes.get_mut(&stream(1)).unwrap();
    assert_eq!(full.confirm(10).len(), 10);
    assert!(wait(&lanes));
    lanes.get_mut(&stream(1)).unwrap().publishing = false;
    assert!(!wait(&lanes), "it does not move");
    lanes.get_mut(&stream(1)).unwrap().publishing = true;
    lanes.get_mut(&stream(1)).unwrap().gate = Gate::SetAside;
    assert!(!wait(&lanes));
}

/// What a drain read, by the number of streams that were in it.
struct Drained {
    reads: Vec<usize>,
    /// How many events each stream had sent when the first one was done.
    sent_when_one_was_done: Vec<usize>,
}

/// A batch of so many events in each partition, which are spread evenly over it. Reads and parcels take one turn each.
fn drain(counts: &[usize]) -> Drained {
    const PARCEL: usize = 50;
    let chunk = chunk(200, 1_000_000);
    let total: usize = counts.iter().sum();
    // Whoever is furthest behind its share of the whole comes next.
    let mut given = vec![0_usize; counts.len()];
    let mut log = Vec::new();
    for n in 0..total {
        let behind = |p: &usize| (counts[*p] * (n + 1)).cast_signed() - (given[*p] * total).cast_signed();
        let next = (0..counts.len()).max_by_key(behind).unwrap();
        given[next] += 1;
        log.push(row(u16::try_from(next).unwrap(), i64::try_from(n + 1).unwrap()));
    }
    let end = i64::try_from(total).unwrap();
    let mut lanes = BTreeMap::new();
    for partition in 0..u16::try_from(counts.len()).unwrap() {
        let last = log
            .iter()
            .rfind(|row| row.stream.partition == Some(partition))
            .unwrap();
        let target = Place {
            batch_number: BATCH,
            position: last.position,
        };
        let mut lane = Lane::new(stream(partition), Place::default(), EntryId::MIN, target);
        let mut bound = share(partition, BATCH, 1, end);
        bound.share.last_position = last.position;
        bound.share.partitions = u16::try_from(counts.len()).unwrap();
        lane.reading_share = Some(bound);
        lanes.insert(stream(partition), lane);
    }
    let mut drained = Drained {
        reads: Vec::new(),
        sent_when_one_was_done: Vec::new(),
    };
    let mut sent = vec![0_usize; counts.len()];
    let mut on_its_way: Vec<Reading> = Vec::new();
    while lanes.values().any(|lane| !lane.is_done()) {
        // What came back, then what leaves, then what is read: the order of the leader.
        for lane in lanes.values_mut().filter(|lane| lane.publishing) {
            let count = lane.head(PARCEL, usize::MAX).unwrap().1.count();
            lane.confirm(count);
            lane.publishing = false;
            sent[usize::from(lane.stream.partition.unwrap())] += count;
        }
        for reading in on_its_way.drain(..) {
            drained.reads.push(reading.readers.len());
            let section = reading.section().unwrap();
            let most = usize::try_from(reading.limits().0).unwrap();
            let rows = log
                .iter()
                .filter(|row| row.position > section.after && row.position <= section.last_position);
            let wanted = |row: &&Row| {
                let partition = row.stream.partition.map(i32::from).unwrap();
                section.only.as_ref().is_none_or(|only| only.contains(&partition))
            };
            let rows = rows.filter(wanted).take(most);
            let rows = rows
                .map(|found| row(found.stream.partition.unwrap(), found.position))
                .collect();
            for brought in reading.split(&section, rows) {
                let lane = lanes.get_mut(&brought.stream).unwrap();
                assert!(!brought.lacks_rows());
                lane.reading = false;
                lane.hold(Portion {
                    batch_number: BATCH,
                    batch_id: 7,
                    rows: brought.rows,
                    is_again: false,
                });
                lane.seen = Place {
                    batch_number: BATCH,
                    position: brought.seen,
                };
            }
        }
        for lane in lanes.values_mut() {
            lane.publishing = lane.wants_to_publish();
        }
        while let Some(chosen) = lanes
            .values()
            .find(|lane| lane.wants_rows(chunk) && !waits(&lanes, &waited_for(&lanes, chunk), lane, chunk))
        {
            let chosen = chosen.stream.clone();
            let reading = gather(&lanes, &chosen, chunk, |_| true).unwrap();
            for reader in &reading.readers {
                lanes.get_mut(&reader.stream).unwrap().reading = true;
            }
            on_its_way.push(reading);
        }
        if drained.sent_when_one_was_done.is_empty() && lanes.values().any(Lane::is_done) {
            drained.sent_when_one_was_done = sent.clone();
        }
    }
    assert_eq!(sent, counts);
    drained
}

#[test]
fn partitions_of_about_the_same_size_are_read_together_to_the_end() {
    let counts = [9_000, 10_000, 11_000, 9_500, 10_500, 12_000, 8_000, 10_000];
    let drained = drain(&counts);
    // At the end of the batch each is done where its own last event is.
    let apart = drained
        .reads
        .iter()
        .filter(|streams| **streams < counts.len())
        .count();
    assert!(apart <= 2, "{:?}", drained.reads);
}

#[test]
fn a_partition_that_has_most_of_the_events_does_not_hold_up_the_others() {
    let counts = [90_000, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000];
    let sent = drain(&counts).sent_when_one_was_done;
    assert!(sent[0] < 45_000, "{sent:?}");
}

#[test]
fn each_gets_its_own_rows_and_has_seen_what_was_read() {
    let lanes = lanes(&[Some(0), Some(0), Some(0)]);
    let reading = gather(&lanes, &stream(0), chunk(2, 1_000_000), |_| true).unwrap();
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
    let reading = gather(&lanes, &stream(0), chunk(1_000, 1_000_000), |_| true).unwrap();
    let section = reading.section().unwrap();
    let brought = reading.split(&section, vec![row(0, 100)]);
    assert!(!brought[0].lacks_rows() && brought[1].lacks_rows());
}

#[test]
fn the_entry_that_says_that_the_topic_moved_on_needs_no_rows() {
    let lanes = lanes(&[None]);
    let mut reading = gather(&lanes, &stream(0), chunk(1_000, 1_000_000), |_| true).unwrap();
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
