use std::time::Duration;

use super::*;

fn id(n: u64) -> EntryId {
    EntryId::new(1, n)
}

fn item(n: u64, key: &str) -> Item<()> {
    let key = (!key.is_empty()).then(|| key.to_owned());
    Item {
        id: id(n),
        chained: true,
        key,
        bytes: 10,
        attempts: 0,
        retry_at: None,
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

#[test]
fn a_waiting_entry_holds_its_key_and_nothing_else() {
    let now = Instant::now();
    let mut window = window(&[(1, "a"), (2, "b"), (3, "a"), (4, "")]);
    window.fail(id(1), 1, now + Duration::from_secs(1));
    assert_eq!(window.ready(now, 10), ids(&[2, 4]));
    assert_eq!(window.next_retry(), Some(now + Duration::from_secs(1)));
    assert_eq!(
        window.ready(now + Duration::from_secs(2), 10),
        ids(&[1]),
        "a second attempt comes alone"
    );
}

#[test]
fn an_entry_that_is_due_behind_one_of_its_key_that_is_not_wakes_nobody() {
    // 2 failed in one transaction with 1, which then failed alone for longer.
    let now = Instant::now();
    let mut window = window(&[(1, "a"), (2, "a")]);
    window.fail(id(2), 1, now);
    window.fail(id(1), 2, now + Duration::from_secs(9));
    let later = now + Duration::from_secs(1);
    assert_eq!(window.ready(later, 10), ids(&[]));
    assert_eq!(window.next_retry(), Some(now + Duration::from_secs(9)));
}

#[test]
fn entries_without_a_key_wait_for_no_one() {
    let now = Instant::now();
    let mut window = window(&[(1, ""), (2, "")]);
    window.fail(id(1), 1, now + Duration::from_secs(1));
    assert_eq!(window.ready(now, 10), ids(&[2]));
}

#[test]
fn a_chunk_is_bounded() {
    assert_eq!(
        window(&[(1, "a"), (2, "a"), (3, "b")]).ready(Instant::now(), 2),
        ids(&[1, 2])
    );
}

#[test]
fn what_is_finished_behind_the_head_is_acknowledged_with_it() {
    let mut window = window(&[(1, "a"), (2, "b"), (3, "c")]);
    assert_eq!(window.head_after(&ids(&[2])), None);
    assert_eq!(window.finish(&ids(&[2])), (vec![], None));
    assert_eq!(
        window.len(),
        3,
        "a finished one stays in hand until the head is finished"
    );
    assert_eq!(window.head_after(&ids(&[1])), Some(id(2)));
    assert_eq!(window.finish(&ids(&[1])), (ids(&[1, 2]), Some(id(2))));
    assert_eq!(window.finish(&ids(&[3])), (ids(&[3]), Some(id(3))));
    assert_eq!(window.len(), 0);
}

#[test]
fn a_stranger_is_acknowledged_at_once_and_neither_moves_nor_holds_the_chain() {
    let mut window = window(&[(1, "a")]);
    window.push(Item {
        chained: false,
        ..item(2, "b")
    });
    window.push(item(3, "c"));
    assert_eq!(window.finish(&ids(&[2])), (ids(&[2]), None));
    window.push(Item {
        chained: false,
        ..item(4, "d")
    });
    assert_eq!(window.finish(&ids(&[1, 3])), (ids(&[1, 3]), Some(id(3))));
    assert_eq!(window.len(), 1);
}

#[test]
fn a_superseded_entry_is_acknowledged_when_its_successor_is_finished() {
    let mut window = window(&[]);
    window.push(item(5, "a"));
    window.supersede(id(3));
    assert!(window.contains(id(3)));
    assert_eq!(window.finish(&ids(&[5])), (ids(&[5, 3]), Some(id(5))));
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
    let _ = window.finish(&ids(&[1]));
    assert!(window.has_room());
    let mut window: Window<()> = Window::new(9, 15);
    window.push(item(1, "a"));
    window.push(item(2, "b"));
    assert!(!window.has_room(), "20 bytes of 15");
}
