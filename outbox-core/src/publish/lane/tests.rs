//! A stream on its way through the ledger, driven by hand.

use std::sync::Arc;

use super::*;
use crate::event::Event;
use crate::tail::batch::Share;
use crate::tail::row::Content;

const ROOM: usize = 1 << 20;
const CHUNK: Chunk = Chunk {
    rows: 4,
    bytes: 1_000,
};

fn place(batch_number: i64, position: i64) -> Place {
    Place {
        batch_number,
        position,
    }
}

fn portion(batch_number: i64, positions: &[i64]) -> Portion {
    let rows = positions.iter().map(|position| Row {
        position: *position,
        stream: Arc::new(StreamId::whole("t")),
        content: Content::Event(Box::new(Event::new(position.to_string(), "/s", "t"))),
        bytes: 10,
    });
    Portion {
        batch_number,
        batch_id: batch_number.unsigned_abs(),
        rows: rows.collect(),
        is_again: false,
    }
}

fn share(batch_number: i64, first_position: i64, last_position: i64) -> BoundShare {
    BoundShare {
        batch_number,
        batch_id: batch_number.unsigned_abs(),
        snapshot: "9:9:".parse().expect("a snapshot"),
        before: "3:3:".parse().expect("a snapshot"),
        passed: Vec::new(),
        era_floor: 0,
        share: Share {
            stream: StreamId::whole("t"),
            event_count: 1,
            first_position,
            last_position,
            first_new_position: Some(first_position),
            partitions: 1,
        },
        laid: None,
    }
}

fn lane(progress: Place, target: Place) -> Lane {
    Lane::new(StreamId::whole("t"), progress, EntryId::MIN, target)
}

#[test]
fn a_batch_that_was_known_and_read_before_it_is_told_adds_nothing() {
    // Loaded when batch 2 was in the ledger and still on its way here.
    let mut lane = lane(place(1, 5), place(2, 8));
    lane.hold(portion(2, &[6, 8]));
    lane.follow(place(2, 8), share(2, 6, 8), portion(2, &[6, 8]), ROOM);
    assert_eq!((lane.handed, lane.held_bytes()), (place(2, 8), 20));
    // The next one is news, even with a lower position.
    lane.follow(place(3, 7), share(3, 7, 7), portion(3, &[7]), ROOM);
    assert_eq!((lane.handed, lane.held_bytes()), (place(3, 7), 30));
}

#[test]
fn an_older_batch_told_late_does_not_take_the_target_back() {
    let mut lane = lane(place(1, 5), place(3, 9));
    lane.follow(place(2, 8), share(2, 6, 8), portion(2, &[6, 8]), ROOM);
    assert_eq!((lane.target, lane.held_bytes()), (place(3, 9), 0));
    assert!(lane.wants_rows(CHUNK));
}

#[test]
fn rows_that_do_not_fit_are_read_later_from_where_the_lane_stands() {
    let mut lane = lane(place(1, 5), place(1, 5));
    lane.follow(place(2, 8), share(2, 6, 8), portion(2, &[6, 8]), 15);
    assert_eq!((lane.handed, lane.held_bytes()), (place(1, 5), 0));
    assert!(lane.wants_rows(CHUNK));
    // And what is cut meanwhile waits its turn.
    lane.follow(place(3, 9), share(3, 9, 9), portion(3, &[9]), ROOM);
    assert_eq!(lane.held_bytes(), 0);
    assert_eq!(lane.target, place(3, 9));
}

#[test]
fn what_was_begun_before_a_halt_is_void() {
    let mut lane = lane(place(1, 5), place(2, 8));
    let stretch = lane.stretch();
    lane.hold(portion(2, &[6, 8]));
    assert_eq!(lane.confirm(1).len(), 1);
    lane.halt(Gate::SetAside);
    assert_ne!(lane.stretch(), stretch);
    assert!(!lane.wants_rows(CHUNK) && !lane.wants_to_publish());
    lane.reopen(place(2, 7), EntryId::MIN, None);
    assert_eq!(
        lane.handed,
        place(2, 7),
        "skipped past what the database says was skipped"
    );
    assert!(lane.wants_rows(CHUNK) && !lane.is_done());
}

#[test]
fn a_batch_that_another_leader_published_meanwhile_is_not_taken_up_when_it_is_told() {
    let mut lane = lane(place(2, 8), place(2, 8));
    lane.reopen(place(4, 9), EntryId::new(4, 9), None);
    lane.follow(place(3, 7), share(3, 7, 7), portion(3, &[7]), ROOM);
    assert_eq!((lane.handed, lane.held_bytes()), (place(4, 9), 0));
    assert!(lane.is_done() && !lane.wants_rows(CHUNK));
    lane.follow(place(5, 3), share(5, 3, 3), portion(5, &[3]), ROOM);
    assert_eq!(lane.handed, place(5, 3));
}

#[test]
fn a_reissue_takes_the_lane_behind_what_was_kept() {
    let mut lane = lane(place(4, 5), place(6, 9));
    lane.hold(portion(5, &[6, 8]));
    lane.chain = EntryId::new(4, 5);
    let stretch = lane.stretch();
    lane.jump(place(7, 2), EntryId::new(2, 1), place(7, 9));
    assert_ne!(lane.stretch(), stretch, "what is on its way counts no more");
    assert_eq!(
        (lane.handed, lane.target, lane.held_bytes()),
        (place(7, 2), place(7, 9), 0)
    );
    assert_eq!(
        lane.predecessor(),
        EntryId::MIN,
        "what was kept may be gone since"
    );
    lane.hold(portion(7, &[3]));
    assert_eq!(lane.confirm(1).len(), 1);
    assert_eq!(lane.predecessor(), EntryId::new(7, 3));
}

#[test]
fn rows_of_one_batch_leave_in_full_parcels_however_they_were_read() {
    let mut lane = lane(place(1, 5), place(3, 9));
    let parcel = |lane: &Lane| {
        let (batch_id, rows) = lane.head(4, usize::MAX).unwrap();
        (batch_id, rows.map(|row| row.position).collect::<Vec<_>>())
    };
    lane.hold(portion(2, &[6, 8]));
    lane.hold(portion(2, &[9, 10, 11]));
    lane.hold(portion(3, &[1]));
    assert_eq!(parcel(&lane), (2, vec![6, 8, 9, 10]));
    // On its way when more comes: it is confirmed as it was sent.
    lane.confirm(4);
    assert_eq!((lane.progress, lane.held_bytes()), (place(2, 10), 20));
    assert_eq!(parcel(&lane), (2, vec![11]), "a parcel is of one batch");
    lane.confirm(1);
    assert_eq!(parcel(&lane), (3, vec![1]));
}

#[test]
fn what_was_cut_is_not_mixed_with_what_is_put_out_again() {
    let mut lane = lane(place(1, 5), place(2, 9));
    lane.hold(portion(2, &[6]));
    let mut again = portion(2, &[7]);
    again.is_again = true;
    lane.hold(again);
    assert!(!lane.is_again());
    assert_eq!(lane.head(4, usize::MAX).unwrap().1.count(), 1);
    lane.confirm(1);
    assert!(lane.is_again());
}

#[test]
fn more_is_read_when_less_than_a_chunk_is_left() {
    let mut lane = lane(place(1, 5), place(2, 99));
    lane.hold(portion(2, &[1, 2, 3]));
    assert!(lane.wants_rows(CHUNK) && lane.may_join(CHUNK));
    lane.hold(portion(2, &[4]));
    assert!(!lane.wants_rows(CHUNK) && lane.may_join(CHUNK));
    lane.hold(portion(2, &(5..=16).collect::<Vec<_>>()));
    assert!(!lane.may_join(CHUNK), "four of them are enough");
    lane.confirm(13);
    assert!(lane.wants_rows(CHUNK));
    // Bytes count as well: three rows are more than this.
    let few = Chunk { bytes: 30, ..CHUNK };
    assert!(!lane.wants_rows(few) && lane.may_join(few));
    // Of a topic with eight partitions a read brings each half a chunk.
    let mut bound = share(2, 1, 99);
    bound.share.partitions = 8;
    lane.reading_share = Some(bound);
    assert!(!lane.wants_rows(CHUNK));
    lane.halt(Gate::Open);
    assert!(lane.wants_rows(CHUNK));
}
