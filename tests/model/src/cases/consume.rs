//! Applying: what each step stands for, and what is explored.

use super::{Case, Size, Stands};
use crate::consume::{self, Consume, Without};
use crate::explore::LIVENESS;

/// What each step stands for.
pub(super) const STEPS: Stands = &[
    ("take the lease", "outbox-core/queries/consume/take_leases.sql"),
    (
        "take the lease from one that is stopped",
        "the same, the other one's run out",
    ),
    ("claim", "outbox-core/src/consume/pending.rs `search_pending`"),
    (
        "have claimed all",
        "outbox-core/src/consume/session.rs: a reader begins when the sweep is over",
    ),
    (
        "read",
        "outbox-core/src/consume/reader.rs, outbox-core/src/consume/intake.rs",
    ),
    (
        "begin to apply",
        "outbox-core/src/consume/apply.rs, outbox-core/queries/consume/fence.sql, outbox-core/queries/consume/enter_inbox.sql",
    ),
    (
        "find its lease gone",
        "outbox-core/src/consume/lease/pg.rs `fence`",
    ),
    (
        "commit",
        "outbox-core/src/consume/landing.rs, outbox-core/queries/consume/move_passed.sql",
    ),
    ("fail", "outbox-core/src/consume/attempt.rs"),
    ("acknowledge", "outbox-core/src/consume/flight.rs `acknowledge`"),
    (
        "have it delivered again",
        "outbox-core/src/consume/hole.rs `look_for_missed`, `wait_for`",
    ),
    ("die", "a member is killed"),
    (
        "set the group back",
        "outbox-core/src/consume/seek/run.rs, outbox-core/queries/consume/seize_stream.sql",
    ),
];

/// What is explored.
pub(super) fn cases(size: Size) -> Vec<Case> {
    let mut cases = Vec::new();
    let more = u8::from(size == Size::Large);
    let base = Consume {
        without: Without::Nothing,
        deaths: 1,
        stops: 1 + more,
        failures: 1,
        seeks: 0,
    };
    cases.push(Case::new("consume", "", None, base));
    cases.push(Case::new(
        "consume, set back",
        "",
        None,
        Consume {
            deaths: more,
            seeks: 1,
            ..base
        },
    ));
    let taken = [
        ("acknowledge after the commit", Without::AckAfterCommit, LIVENESS),
        (
            "what was delivered and not applied is delivered again",
            Without::DeliveredAgain,
            LIVENESS,
        ),
        (
            "the lease in the applying transaction",
            Without::Lease,
            consume::ORDER,
        ),
        (
            "the lease's row is locked there",
            Without::LeaseLock,
            consume::ORDER,
        ),
        ("gate", Without::Gate, consume::ORDER),
        ("inbox", Without::Inbox, consume::ONE_EFFECT),
        (
            "a key in one transaction at a time",
            Without::OnePerKey,
            consume::ORDER,
        ),
    ];
    for (name, without, breaks) in taken {
        cases.push(Case::new(
            "consume",
            name,
            Some(breaks),
            Consume {
                without,
                seeks: 1,
                ..base
            },
        ));
    }
    cases
}
