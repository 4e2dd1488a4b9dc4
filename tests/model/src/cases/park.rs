//! Parking: what each step stands for, and what is explored.

use super::{Case, Stands};
use crate::explore::LIVENESS;
use crate::park::{self, Park, Without};

/// What each step stands for.
pub(super) const STEPS: Stands = &[
    (
        "begin what arrived",
        "outbox-core/src/consume/apply.rs, outbox-core/queries/consume/lock_lanes.sql",
    ),
    (
        "park it",
        "outbox-core/queries/consume/park_lanes.sql, outbox-core/queries/consume/park_events.sql",
    ),
    ("apply it", "outbox-core/src/consume/batch.rs"),
    (
        "park it behind",
        "outbox-core/queries/consume/park_events.sql under the share of the lane's row",
    ),
    (
        "begin to drain",
        "outbox-core/src/consume/drain.rs, outbox-core/queries/consume/lock_lane.sql",
    ),
    (
        "fail again",
        "outbox-core/queries/consume/fail_parked.sql, outbox-core/src/consume/retry.rs",
    ),
    (
        "apply what was parked",
        "outbox-core/src/consume/emptying.rs, outbox-core/queries/consume/set_outcome.sql",
    ),
    (
        "commit what was drained",
        "outbox-core/queries/consume/hold_lane.sql, outbox-core/queries/consume/close_lane.sql",
    ),
    (
        "redrive",
        "`outbox.redrive` in migrations/sql/inbox/0004_redrive.sql",
    ),
    (
        "put the letter back",
        "`outbox.release_redrive_items` in migrations/sql/inbox/0004_redrive.sql",
    ),
    (
        "take over",
        "outbox-core/queries/consume/take_leases.sql: what was begun under the other lease is undone",
    ),
    ("drain it as well", "only where that mechanism is taken away"),
];

/// What is explored.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let base = Park {
        without: Without::Nothing,
        events: 4,
        failures: 4,
        attempts: 2,
        takeovers: 3,
    };
    cases.push(Case::new("park", "", None, base));
    let taken = [
        ("the lane's row is locked", Without::LaneLock, park::ORDER),
        ("the lane's row is locked", Without::LaneLock, LIVENESS),
        ("what arrives asks for its key", Without::IsAsked, park::ORDER),
        (
            "an outcome changes once",
            Without::OutcomeChanges,
            park::ONE_EFFECT,
        ),
        (
            "a letter goes back to its old place",
            Without::OldPlace,
            park::ORDER,
        ),
    ];
    for (name, without, breaks) in taken {
        cases.push(Case::new("park", name, Some(breaks), Park { without, ..base }));
    }
    cases
}
