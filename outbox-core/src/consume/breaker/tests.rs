use super::*;
use crate::consume::blame::tests::{lanes, line};

const PATIENCE: Duration = Duration::from_secs(60);

/// The probe that is allowed at this moment.
fn probe(breaker: &mut Breaker, now: Instant) -> u64 {
    match breaker.pass(now, PATIENCE, 0) {
        Pass::One(number) => number,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_opens_lets_one_through_and_closes_when_that_succeeds() {
    let (mut breaker, now, (a, ..)) = (Breaker::default(), Instant::now(), lanes());
    assert_eq!(breaker.pass(now, PATIENCE, 0), Pass::All);
    breaker.fail(now, None, line(&a, "placed"), "stock: gone", 1.0);
    assert_eq!(breaker.cause(), Some("stock: gone"));
    assert_eq!(breaker.held(now), Held::Everything);
    let Pass::None(until) = breaker.pass(now, PATIENCE, 0) else {
        panic!("it is closed");
    };
    assert_eq!(until, now + PROBE.pause_min);
    probe(&mut breaker, until);
    assert!(
        matches!(breaker.pass(until, PATIENCE, 0), Pass::None(_)),
        "one alone"
    );
    breaker.answer(until, Some("placed"));
    assert_eq!(breaker.pass(until, PATIENCE, 0), Pass::All);
    assert_eq!(breaker.cause(), None);
    assert_eq!(breaker.held(until), Held::Nothing);
}

#[test]
fn what_was_in_hand_with_the_first_failure_does_not_count_again() {
    let (mut breaker, now, (a, ..)) = (Breaker::default(), Instant::now(), lanes());
    for _ in 0..10 {
        breaker.fail(now, None, line(&a, "placed"), "gone", 1.0);
    }
    let failures = |breaker: &Breaker| breaker.open.as_ref().map(|open| open.failures);
    assert_eq!(failures(&breaker), Some(1));
    let later = now + PROBE.pause_max;
    let number = probe(&mut breaker, later);
    breaker.fail(later, Some(number), line(&a, "placed"), "gone", 1.0);
    assert_eq!(failures(&breaker), Some(2));
}

#[test]
fn a_probe_that_is_never_heard_of_is_followed_by_another_and_one_given_back_at_once() {
    let (mut breaker, now, (a, ..)) = (Breaker::default(), Instant::now(), lanes());
    breaker.fail(now, None, line(&a, "placed"), "gone", 1.0);
    let later = now + PROBE.pause_max;
    let lost = probe(&mut breaker, later);
    let number = probe(&mut breaker, later + PATIENCE);
    breaker.give_back(lost);
    assert!(
        matches!(breaker.pass(later + PATIENCE, PATIENCE, 0), Pass::None(_)),
        "not the one under way"
    );
    breaker.give_back(number);
    probe(&mut breaker, later + PATIENCE);
}

#[test]
fn another_one_of_its_type_is_tried_first_and_then_another_type() {
    let (mut breaker, now, (a, b, c)) = (Breaker::default(), Instant::now(), lanes());
    breaker.fail(now, None, line(&a, "placed"), "gone", 0.0);
    let ranks = |breaker: &Breaker| {
        [line(&a, "placed"), line(&b, "placed"), line(&c, "changed")]
            .map(|line| breaker.rank(line).map(|(rank, _)| rank))
    };
    assert_eq!(ranks(&breaker), [Some(1), Some(0), Some(3)]);
    assert_eq!(
        breaker.pass(now, PATIENCE, 1),
        Pass::None(now + COURTESY),
        "perhaps somebody has what says more"
    );
    let number = probe(&mut breaker, now);
    breaker.fail(now, Some(number), line(&b, "placed"), "gone", 0.0);
    assert_eq!(ranks(&breaker), [Some(2), Some(2), Some(0)]);
}

#[test]
fn of_those_that_failed_the_one_that_did_so_the_longest_ago_comes_first() {
    let (mut breaker, now, (a, b, _)) = (Breaker::default(), Instant::now(), lanes());
    let later = now + COURTESY;
    breaker.fail(now, None, line(&a, "placed"), "gone", 0.0);
    let number = probe(&mut breaker, later);
    breaker.fail(later, Some(number), line(&b, "placed"), "gone", 0.0);
    assert!(breaker.rank(line(&a, "placed")) < breaker.rank(line(&b, "placed")));
}

#[test]
fn when_another_type_gets_through_only_what_failed_is_held() {
    let (mut breaker, now, (a, b, c)) = (Breaker::default(), Instant::now(), lanes());
    let types = |types: &[&str]| Held::Types(types.iter().map(|of| (*of).to_owned()).collect());
    breaker.fail(now, None, line(&a, "placed"), "gone", 0.0);
    probe(&mut breaker, now);
    breaker.answer(now, Some("changed"));
    let held = breaker.held(now);
    assert_eq!(held, types(&["placed"]));
    assert!(held.holds(Some("placed")) && !held.holds(Some("changed")) && !held.holds(None));
    assert_eq!(breaker.rank(line(&c, "changed")), None, "it needs no probe");
    assert_eq!(breaker.rank(line(&b, "placed")), Some((0, None)));
    // A further type that fails is held as well, and each goes on when one of it gets through.
    breaker.fail(now, None, line(&c, "changed"), "gone", 0.0);
    assert_eq!(breaker.held(now), types(&["changed", "placed"]));
    breaker.answer(now, Some("placed"));
    assert_eq!(breaker.held(now), types(&["changed"]));
    breaker.answer(now, Some("changed"));
    assert_eq!(breaker.held(now), Held::Nothing);
}

#[test]
fn types_that_failed_are_tried_in_turns() {
    let (mut breaker, now, (a, b, c)) = (Breaker::default(), Instant::now(), lanes());
    breaker.fail(now, None, line(&a, "placed"), "gone", 0.0);
    breaker.fail(now, None, line(&c, "changed"), "gone", 0.0);
    breaker.answer(now, Some("sent"));
    let first = |breaker: &Breaker| breaker.rank(line(&b, "placed")) < breaker.rank(line(&b, "changed"));
    assert!(first(&breaker));
    let number = probe(&mut breaker, now);
    breaker.fail(now, Some(number), line(&a, "placed"), "gone", 0.0);
    assert!(!first(&breaker));
}

#[test]
fn more_types_than_are_told_apart_are_held_with_all_others() {
    let (mut breaker, now, (a, ..)) = (Breaker::default(), Instant::now(), lanes());
    breaker.fail(now, None, line(&a, "placed"), "gone", 0.0);
    breaker.answer(now, Some("sent"));
    for n in 0..TYPES_MAX {
        breaker.fail(now, None, line(&a, &n.to_string()), "gone", 0.0);
    }
    assert_eq!(breaker.held(now), Held::Everything);
}

#[test]
fn what_nobody_has_anything_to_try_of_closes() {
    let (mut breaker, now, (a, ..)) = (Breaker::default(), Instant::now(), lanes());
    breaker.fail(now, None, line(&a, "placed"), "gone", 0.0);
    let asked = now + IDLE / 2;
    let number = probe(&mut breaker, asked);
    assert_eq!(breaker.held(asked + IDLE), Held::Everything, "it is being tried");
    breaker.give_back(number);
    assert_eq!(breaker.held(now + IDLE), Held::Everything);
    assert_eq!(breaker.held(asked + IDLE), Held::Nothing);
}
