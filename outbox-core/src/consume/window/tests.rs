use std::collections::HashSet;

use super::*;

fn id(n: u64) -> EntryId {
    EntryId::new(1, n)
}

fn item(n: u64, key: &str) -> Item<()> {
    let lane = if key.is_empty() {
        Lane::of_entry(id(n))
    } else {
        Lane::of_key(key)
    };
    Item {
        id: id(n),
        chained: true,
        lane,
        bytes: 10,
        attempts: 0,
        payload: (),
    }
}

fn window(items: &[(u64, &str)]) -> Window<()> {
    let mut window = Window::new(100, 1000);
    for (n, key) in items {
        window.push(item(*n, key));
    }
    window
}

fn ids(numbers: &[u64]) -> Vec<EntryId> {
    numbers.iter().map(|n| id(*n)).collect()
}

fn finish(window: &mut Window<()>, numbers: &[u64]) -> Vec<EntryId> {
    window.start(&ids(numbers));
    window.finish(&ids(numbers))
}

fn ready(window: &Window<()>, busy: &[&str], most: usize) -> Vec<EntryId> {
    let busy = busy.iter().map(|key| Lane::of_key(key)).collect();
    window.ready(&busy, most).iter().map(|item| item.id).collect()
}

#[test]
fn a_key_is_in_one_transaction_at_most_and_holds_nothing_else() {
    let mut window = window(&[(1, "a"), (2, "b"), (3, "a"), (4, "")]);
    window.start(&ids(&[1]));
    assert_eq!(ready(&window, &[], 10), ids(&[2, 4]));
    window.release(&ids(&[1]), false);
    assert_eq!(ready(&window, &[], 10), ids(&[1, 2, 3, 4]));
}

#[test]
fn a_key_that_is_drained_is_left_alone() {
    let window = window(&[(1, "a"), (2, "b"), (3, "a")]);
    assert_eq!(ready(&window, &["a"], 10), ids(&[2]));
    assert_eq!(ready(&window, &["a", "b"], 10), ids(&[]));
}

#[test]
fn entries_without_a_key_wait_for_no_one() {
    let mut window = window(&[(1, ""), (2, "")]);
    window.start(&ids(&[1]));
    assert_eq!(ready(&window, &[], 10), ids(&[2]));
}

#[test]
fn an_entry_under_suspicion_is_tried_alone_and_holds_its_key() {
    let mut window = window(&[(1, "a"), (2, "b"), (3, "a"), (4, "c")]);
    window.start(&ids(&[1, 2]));
    window.release(&ids(&[1, 2]), true);
    assert_eq!(ready(&window, &[], 10), ids(&[1]), "alone");
    window.start(&ids(&[1]));
    assert_eq!(ready(&window, &[], 10), ids(&[2]), "alone as well");
    window.start(&ids(&[2]));
    assert_eq!(ready(&window, &[], 10), ids(&[4]));
}

#[test]
fn what_stands_before_one_under_suspicion_goes_without_it() {
    let mut window = window(&[(1, "a"), (2, "b"), (3, "b")]);
    window.start(&ids(&[2]));
    window.release(&ids(&[2]), true);
    assert_eq!(ready(&window, &[], 10), ids(&[1]), "and 3 stays behind 2");
}

#[test]
fn what_may_not_be_tried_holds_what_stands_behind_it_in_its_key() {
    let window = window(&[(1, "a"), (2, "b"), (3, "a"), (4, "b"), (5, "c")]);
    let may = |item: &Item<()>| ![id(1), id(4)].contains(&item.id);
    let ready = window.ready_of(&HashSet::new(), 10, None, may);
    let ready: Vec<EntryId> = ready.iter().map(|item| item.id).collect();
    assert_eq!(ready, ids(&[2, 5]));
}

fn ready_of_lanes(window: &Window<()>, most: usize, lanes: usize) -> Vec<u64> {
    let ready = window.ready_of(&HashSet::new(), most, Some(lanes), |_| true);
    ready.iter().map(|item| item.id.position).collect()
}

#[test]
fn a_transaction_takes_its_part_of_the_lanes_and_leaves_the_others_to_the_next() {
    let keys = ["a", "b", "c", "d"];
    let items: Vec<(u64, &str)> = (1..=16).zip(keys.into_iter().cycle()).collect();
    let mut window = window(&items);
    assert_eq!(window.part(4, 2, 2), Some(1), "a half of two");
    assert_eq!(window.part(8, 2, 2), Some(2), "which have as many");
    assert_eq!(
        window.part(4, 1, 1),
        None,
        "one at a time takes them as they come"
    );
    assert_eq!(window.part(8, 3, 3), None, "not enough for all");
    let first = ready_of_lanes(&window, 4, 2);
    assert_eq!(first, [1, 2, 5, 6], "of two lanes, in order");
    window.start(&ids(&first));
    let second = ready_of_lanes(&window, 4, 2);
    assert_eq!(second, [3, 4, 7, 8]);
    window.start(&ids(&second));
    assert!(ready_of_lanes(&window, 4, 2).is_empty(), "each lane is in one");
    assert_eq!(window.finish(&ids(&first)), []);
    assert_eq!(ready_of_lanes(&window, 4, 2), [9, 10, 13, 14]);
}

#[test]
fn of_many_lanes_with_little_a_transaction_takes_as_many_as_it_needs() {
    let items: Vec<(u64, String)> = (1..=12).map(|n| (n, (n % 6).to_string())).collect();
    let items: Vec<(u64, &str)> = items.iter().map(|(n, key)| (*n, key.as_str())).collect();
    let window = window(&items);
    assert_eq!(window.part(4, 1, 6), Some(2), "two entries to a lane");
    assert_eq!(window.part(2, 1, 2), Some(2), "a half of three");
    assert_eq!(Window::<()>::new(10, 10).part(4, 0, 4), Some(0));
}

#[test]
fn lanes_that_have_too_few_leave_room_for_others_in_order() {
    let window = window(&[
        (1, "a"),
        (2, "b"),
        (3, "c"),
        (4, "b"),
        (5, "c"),
        (6, "a"),
        (7, "d"),
    ]);
    assert_eq!(
        ready_of_lanes(&window, 3, 1),
        [1, 2, 6],
        "one of another lane, its first"
    );
    assert_eq!(ready_of_lanes(&window, 5, 2), [1, 2, 3, 4, 6]);
    assert_eq!(ready_of_lanes(&window, 10, 1), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(ready_of_lanes(&window, 3, 0), [1, 2, 6], "one at least");
}

#[test]
fn a_batch_is_bounded() {
    assert_eq!(
        ready(&window(&[(1, "a"), (2, "a"), (3, "b")]), &[], 2),
        ids(&[1, 2])
    );
}

#[test]
fn what_is_finished_behind_the_head_is_acknowledged_with_it() {
    let mut window = window(&[(1, "a"), (2, "b"), (3, "c")]);
    window.start(&ids(&[1, 2, 3]));
    assert_eq!(window.head_after(&ids(&[2])), None);
    assert_eq!(window.finish(&ids(&[2])), []);
    assert_eq!(
        window.len(),
        3,
        "a finished one stays in hand until the head is finished"
    );
    assert_eq!(window.head_after(&ids(&[1])), Some(id(2)));
    assert_eq!(window.finish(&ids(&[1])), []);
    assert_eq!(window.head_after(&[]), Some(id(2)));
    assert_eq!(window.len(), 3, "and until that is committed");
    assert_eq!(window.pass(id(2)), ids(&[1, 2]));
    assert_eq!(window.finish(&ids(&[3])), []);
    assert_eq!(window.pass(id(3)), ids(&[3]));
    assert_eq!(window.len(), 0);
}

#[test]
fn what_there_is_nothing_to_do_about_passes_in_its_turn() {
    let mut window = window(&[(1, "a")]);
    window.push_finished(id(2));
    assert!(window.contains(id(2)));
    assert_eq!(window.head_after(&[]), None);
    window.start(&ids(&[1]));
    assert_eq!(window.finish(&ids(&[1])), []);
    assert_eq!(window.head_after(&[]), Some(id(2)));
}

#[test]
fn a_stranger_is_acknowledged_at_once_and_neither_moves_nor_holds_the_chain() {
    let mut window = window(&[(1, "a")]);
    let stranger = |n, key| Item {
        chained: false,
        ..item(n, key)
    };
    window.push(stranger(2, "b"));
    window.push(item(3, "c"));
    window.start(&ids(&[2]));
    assert_eq!(window.finish(&ids(&[2])), ids(&[2]));
    assert_eq!(window.head_after(&[]), None);
    window.push(stranger(4, "d"));
    assert_eq!(finish(&mut window, &[1, 3]), []);
    assert_eq!(window.head_after(&[]), Some(id(3)));
    assert_eq!(window.pass(id(3)), ids(&[1, 3]));
    assert_eq!(window.len(), 1);
}

#[test]
fn a_superseded_entry_is_acknowledged_when_its_successor_is_passed() {
    let mut window = window(&[]);
    window.push(item(5, "a"));
    window.supersede(id(3));
    assert!(window.contains(id(3)));
    assert_eq!(finish(&mut window, &[5]), []);
    assert_eq!(window.pass(id(5)), ids(&[5, 3]));
    assert_eq!(window.len(), 0);
}

#[test]
fn it_closes_by_number_and_by_bytes() {
    let mut window: Window<()> = Window::new(2, 15);
    assert!(window.has_room());
    window.push(item(1, "a"));
    assert!(window.has_room());
    window.push(item(2, "b"));
    assert!(!window.has_room());
    finish(&mut window, &[1]);
    assert!(window.has_room());
    let mut window: Window<()> = Window::new(9, 15);
    window.push(item(1, "a"));
    window.push(item(2, "b"));
    assert!(!window.has_room(), "20 bytes of 15");
}

/// A window of eight, so that one loaded entry is the share of a lane.
fn slow_lane() -> Window<()> {
    let mut window = Window::new(8, 1000);
    for (n, key) in [(1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, "a")] {
        window.push(item(n, key));
    }
    window.start(&ids(&[1]));
    window
}

#[test]
fn what_waits_behind_a_slow_transaction_makes_room_and_keeps_its_place() {
    let mut window = slow_lane();
    for n in 6..=8 {
        window.push(item(n, "c"));
    }
    assert!(!window.has_room());
    assert_eq!(
        window.set_aside(),
        3,
        "2, 3 and 5, but not the one that is under way"
    );
    assert!(window.has_room());
    assert_eq!(window.to_load(10), ids(&[]), "not while the first is under way");
    for n in 9..=100 {
        window.push(item(n, "a"));
    }
    assert!(window.has_room(), "what comes behind them is not loaded either");
    assert_eq!(ready(&window, &[], 10), ids(&[4, 6, 7, 8]));
    assert_eq!(window.finish(&ids(&[1])), []);
    assert_eq!(ready(&window, &[], 10), ids(&[4, 6, 7, 8]));
    assert_eq!(window.set_aside(), 0, "nothing of it is under way");
}

#[test]
fn what_was_set_aside_comes_back_in_its_order() {
    let mut window = slow_lane();
    assert_eq!(window.set_aside(), 3);
    assert_eq!(window.finish(&ids(&[1])), []);
    assert_eq!(window.to_load(2), ids(&[2, 3]));
    assert!(window.reload(item(2, "a")));
    assert!(!window.reload(item(2, "a")), "it is there");
    assert!(!window.reload(item(4, "b")), "it was not set aside");
    assert_eq!(ready(&window, &[], 10), ids(&[2, 4]));
    assert!(window.lose(id(3)), "the chain misses it");
    assert_eq!(window.to_load(2), ids(&[]), "first what is loaded");
    assert_eq!(finish(&mut window, &[2, 4]), []);
    assert_eq!(window.head_after(&[]), Some(id(4)));
    assert_eq!(window.to_load(2), ids(&[5]));
}

#[test]
fn what_is_lost_outside_the_chain_leaves_no_trace_in_it() {
    let mut window = slow_lane();
    window.push(Item {
        chained: false,
        ..item(9, "a")
    });
    assert_eq!(window.set_aside(), 4);
    assert!(!window.lose(id(9)));
    assert!(!window.contains(id(9)));
    assert_eq!(window.len(), 5);
}

/// Who holds the others up, and may be parked.
fn holder(window: &Window<()>) -> Option<&Lane> {
    window.held_up_by().filter(|lane| window.is_waiting(lane))
}

#[test]
fn a_lane_holds_the_others_up_when_much_is_finished_behind_it() {
    let mut window = slow_lane();
    let lane = Lane::of_key("a");
    for n in 6..=9 {
        window.push(item(n, "c"));
    }
    finish(&mut window, &[4, 6, 7]);
    assert_eq!(holder(&window), None, "not much");
    finish(&mut window, &[8]);
    assert_eq!(holder(&window), None, "it is in a transaction");
    window.release(&ids(&[1]), false);
    assert_eq!(holder(&window), Some(&lane));
    let lanes = HashSet::from([lane]);
    let of_lane: Vec<EntryId> = window.of_lanes(&lanes, 3).iter().map(|item| item.id).collect();
    assert_eq!(of_lane, ids(&[1, 2, 3]));
    finish(&mut window, &[1, 2, 3, 5]);
    assert_eq!(window.pass(id(8)).len(), 8);
    assert_eq!(holder(&window), None);
}

#[test]
fn what_is_finished_before_a_lane_is_not_held_up_by_it() {
    let mut window = Window::new(8, 1000);
    for n in 1..=5 {
        window.push(item(n, "a"));
    }
    window.push(item(6, "b"));
    window.push(item(7, "c"));
    finish(&mut window, &[1, 2, 3, 4, 7]);
    assert!(window.is_half_full(), "it is to be recorded");
    assert_eq!(holder(&window), None, "one is finished behind it");
    for n in 8..=10 {
        window.push(item(n, "c"));
    }
    finish(&mut window, &[8, 9, 10]);
    assert_eq!(holder(&window), Some(&Lane::of_key("a")));
}

#[test]
fn places_are_bounded_however_slow_a_lane_is() {
    let mut window = Window::new(2, 1000);
    window.push(item(1, "a"));
    window.start(&ids(&[1]));
    let mut n = 1;
    while window.has_room() {
        n += 1;
        window.push(item(n, "b"));
        finish(&mut window, &[n]);
    }
    assert_eq!(window.len(), 2 * PLACES);
}

/// A window of ten, every place of which is taken by a lane whose first entry is in a transaction, and the others set aside.
fn full_of_one_lane() -> Window<()> {
    let mut window = Window::new(10, 1000);
    window.push(item(1, "slow"));
    window.push(item(2, "slow"));
    window.push(item(3, "slow"));
    window.start(&ids(&[1]));
    assert_eq!(window.set_aside(), 2);
    let mut n = 3;
    while window.has_room() {
        n += 1;
        window.push(item(n, "slow"));
    }
    assert_eq!((window.len(), window.places_left()), (10 * PLACES, 0));
    window
}

#[test]
fn what_was_set_aside_is_loaded_again_although_every_place_is_taken() {
    let mut window = full_of_one_lane();
    // A read under way may come on top.
    let last = 10 * PLACES as u64 + 5;
    for n in last - 4..=last {
        window.push(item(n, "slow"));
    }
    let mut done = 1;
    finish_and_pass(&mut window, &[1]);
    assert!(!window.has_room(), "nothing more may be read");
    while done < last {
        let loaded = window.to_load(4);
        assert!(!loaded.is_empty(), "nothing is loaded behind {done}");
        for id in &loaded {
            assert!(window.reload(item(id.position, "slow")));
        }
        let next = ready(&window, &[], 10);
        assert_eq!(next, loaded);
        let numbers: Vec<u64> = next.iter().map(|id| id.position).collect();
        finish_and_pass(&mut window, &numbers);
        done = numbers[numbers.len() - 1];
    }
    assert_eq!(window.len(), 0);
}

fn finish_and_pass(window: &mut Window<()>, numbers: &[u64]) {
    assert_eq!(finish(window, numbers), []);
    let head = window.head_after(&[]).expect("it is the head");
    assert_eq!(window.pass(head), ids(numbers));
}

#[test]
fn a_lane_that_took_every_place_holds_the_others_up_as_soon_as_it_is_loaded() {
    let mut window = full_of_one_lane();
    assert_eq!(holder(&window), None, "it is in a transaction");
    assert_eq!(finish(&mut window, &[1]), []);
    assert_eq!(holder(&window), None, "nothing of it is loaded");
    assert_eq!(window.to_load(2), ids(&[2, 3]));
    assert!(window.reload(item(2, "slow")));
    assert_eq!(holder(&window), Some(&Lane::of_key("slow")));
    window.pass(id(1));
    assert_eq!(holder(&window), None, "there is a place left");
}

#[test]
fn the_lane_that_comes_first_is_loaded_first_and_only_if_there_is_room() {
    let mut window = Window::new(8, 1000);
    for (n, key) in [(1, "a"), (2, "b"), (3, "b"), (4, "b"), (5, "a"), (6, "a")] {
        window.push(item(n, key));
    }
    window.start(&ids(&[1, 2]));
    assert_eq!(window.set_aside(), 4);
    assert_eq!(window.finish(&ids(&[1, 2])), []);
    assert_eq!(window.to_load(10), ids(&[3, 4]));
    for n in 7..=14 {
        window.push(item(n, "c"));
    }
    assert_eq!(window.to_load(10), ids(&[]), "no room for what is loaded");
}
