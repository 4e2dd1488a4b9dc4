//! The doorbell: what each step stands for, and what is explored.

use super::{Case, Stands};
use crate::doorbell::{self, Doorbell, Without};
use crate::explore::LIVENESS;

/// What each step stands for.
pub(super) const STEPS: Stands = &[
    (
        "append",
        "`outbox.ring()` in migrations/sql/log/0004_append.sql, `outbox.ring_bell()` in migrations/sql/log/0045_direct.sql",
    ),
    (
        "commit",
        "the producer's commit, with the notification that it asked for",
    ),
    (
        "commit, and the ring gets lost",
        "a pooler, or a socket that is gone",
    ),
    ("roll back", "the same, undone"),
    (
        "look",
        "outbox-core/src/tail/doorbell.rs `Step::Look`, outbox-core/queries/tail/cut_batch.sql",
    ),
    ("take the lock", "outbox-core/queries/tail/try_sleep.sql"),
    (
        "be refused the lock",
        "the same: `Seen::InFlight` in outbox-core/src/tail/doorbell.rs",
    ),
    (
        "look once more",
        "outbox-core/src/tail/doorbell.rs `Seen::Locked`",
    ),
    (
        "be woken",
        "outbox-core/src/tail/run.rs `sleep`, outbox-core/queries/tail/wake_up.sql",
    ),
    (
        "look after a long while",
        "outbox-core/src/tail/doorbell.rs `Seen::Timeout`",
    ),
    ("be stopped", "SIGSTOP, a pause of the machine"),
    ("go on", "the same, over before somebody else leads"),
    ("let the lease run out", "outbox-core/src/tail/lease.rs"),
    (
        "take the lead, and end who held the lock",
        "outbox-core/src/tail/run.rs `open`, outbox-core/queries/tail/end_old_sleeper.sql",
    ),
];

/// What is explored.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let base = Doorbell {
        without: Without::Nothing,
        stops: 2,
        losses: 1,
    };
    cases.push(Case::new("doorbell", "", None, base));
    let taken = [
        (
            "look once more before sleeping",
            Without::SecondLook,
            doorbell::LOST_RING,
        ),
        ("an appender shares the lock", Without::Share, doorbell::LOST_RING),
        (
            "only for a valid lease is rung",
            Without::LeaseTest,
            doorbell::PAYS,
        ),
        (
            "the lock is held only asleep",
            Without::OnlyAsleep,
            doorbell::PAYS,
        ),
        ("slow poll", Without::SlowPoll, LIVENESS),
    ];
    for (name, without, breaks) in taken {
        cases.push(Case::new(
            "doorbell",
            name,
            Some(breaks),
            Doorbell { without, ..base },
        ));
    }
    cases
}
