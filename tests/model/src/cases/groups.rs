//! New groups: what each step stands for, and what is explored.

use super::{Case, Stands};
use crate::explore::LIVENESS;
use crate::groups::{self, Groups, Without};

/// What each step stands for.
pub(super) const STEPS: Stands = &[
    ("publish", "outbox-core/src/publish/send.rs"),
    (
        "put out again",
        "outbox-core/src/publish/upkeep/holes.rs: see the model `stream`",
    ),
    (
        "look at the groups",
        "outbox-core/src/publish/upkeep/trimming.rs `tend`, outbox-core/src/publish/trim.rs `newcomers`, `decide`",
    ),
    ("trim", "outbox-core/src/publish/upkeep/trimming.rs `raise`"),
    ("make the group", "outbox-core/src/consume/session.rs `open`"),
    ("read and apply", "outbox-core/src/consume/gate.rs"),
    ("read and pass over", "outbox-core/src/consume/gate.rs"),
    ("read and hold", "outbox-core/src/consume/gate.rs"),
    (
        "apply what was held",
        "outbox-core/src/consume/pending.rs `release_held`",
    ),
    (
        "begin here",
        "outbox-core/src/consume/hole.rs `begins_behind`, told by outbox-core/src/publish/upkeep/holes.rs `explain`",
    ),
    (
        "pass a hole that was said",
        "`outbox-relay consumer pass-hole`, outbox-core/queries/consume/pass_hole.sql",
    ),
    (
        "lose the first entry",
        "XDEL, a zombie's entry on a stream that was lost",
    ),
];

/// What is explored.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let base = Groups {
        without: Without::Nothing,
        losses: 1,
        trims: 2,
    };
    cases.push(Case::new("groups", "", None, base));
    let taken = [
        (
            "a new group begins with what it finds",
            Without::BeginsHere,
            LIVENESS,
        ),
        (
            "it begins there if what precedes was trimmed",
            Without::TrimmedOnly,
            groups::GAP,
        ),
        (
            "a group that is seen is registered",
            Without::Registered,
            groups::NEEDED,
        ),
        ("what was trimmed is said", Without::Told, LIVENESS),
    ];
    for (name, without, breaks) in taken {
        cases.push(Case::new(
            "groups",
            name,
            Some(breaks),
            Groups { without, ..base },
        ));
    }
    cases
}
