use std::panic;

use super::*;

#[derive(Clone, Debug, PartialEq)]
enum Event {
    Earned { points: u64 },
    Spent { points: u64 },
}

use Event::{Earned, Spent};

#[derive(Debug, PartialEq)]
struct TooFew {
    there_are: u64,
}

struct Points;

impl Decider for Points {
    type Command = u64;
    type Event = Event;
    type State = u64;
    type Refusal = TooFew;

    fn initial() -> u64 {
        0
    }

    fn evolve(balance: u64, event: &Event) -> u64 {
        match event {
            Earned { points } => balance + points,
            Spent { points } => balance - points,
        }
    }

    fn decide(spend: &u64, balance: &u64) -> Result<Vec<Event>, TooFew> {
        match *spend {
            0 => Ok(Vec::new()),
            points if points > *balance => Err(TooFew { there_are: *balance }),
            points => Ok(vec![Spent { points }]),
        }
    }
}

fn said(scenario: impl FnOnce() + panic::UnwindSafe) -> String {
    let panicked = panic::catch_unwind(scenario).expect_err("the scenario is wrong");
    *panicked.downcast::<String>().expect("a message")
}

#[test]
fn what_is_as_it_should_be_says_nothing() {
    given::<Points>([Earned { points: 50 }])
        .then_state(50)
        .when(30)
        .then([Spent { points: 30 }])
        .then_state(20)
        .when(30)
        .then_refused(TooFew { there_are: 20 })
        .then_state(20)
        .when(0)
        .then_nothing();
}

#[test]
fn other_events_are_shown_line_by_line() {
    let said = said(|| {
        let _ = given::<Points>([Earned { points: 50 }])
            .when(30)
            .then([Spent { points: 31 }]);
    });
    for part in [
        "the events differ",
        "-         points: 31,",
        "+         points: 30,",
        "      Spent {",
    ] {
        assert!(said.contains(part), "{part:?}: {said}");
    }
}

#[test]
fn a_refusal_that_was_not_meant_is_shown_and_so_is_one_that_did_not_come() {
    let refused = said(|| {
        let _ = given::<Points>([]).when(30).then([Spent { points: 30 }]);
    });
    assert!(
        refused.contains("was refused") && refused.contains("there_are: 0"),
        "{refused}"
    );
    let taken = said(|| {
        let _ = given::<Points>([Earned { points: 50 }])
            .when(30)
            .then_refused(TooFew { there_are: 0 });
    });
    assert!(
        taken.contains("was not refused") && taken.contains("points: 30"),
        "{taken}"
    );
    let other = said(|| {
        let _ = given::<Points>([Earned { points: 5 }])
            .when(30)
            .then_refused(TooFew { there_are: 6 });
    });
    assert!(
        other.contains("-     there_are: 6,") && other.contains("+     there_are: 5,"),
        "{other}"
    );
}

#[test]
fn another_state_is_shown() {
    let said = said(|| {
        let _ = given::<Points>([Earned { points: 5 }]).then_state(6);
    });
    assert!(said.contains("- 6") && said.contains("+ 5"), "{said}");
}
