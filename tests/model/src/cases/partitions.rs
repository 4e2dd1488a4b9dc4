//! Growth: what each step stands for, and what is explored.

use super::{Case, Stands};
use crate::partitions::{self, Partitions, Without};

/// What each step stands for.
pub(super) const STEPS: Stands = &[
    (
        "publish on the old stream",
        "outbox-core/src/publish/send.rs; its end is cut by outbox-core/queries/tail/lay_partitions.sql",
    ),
    (
        "put the old stream out again",
        "outbox-core/src/publish/upkeep/holes.rs: see the model `stream`",
    ),
    ("announce the layout", "outbox-core/src/publish/announce.rs"),
    (
        "publish on the new stream",
        "outbox-core/src/publish/opening.rs `admits`",
    ),
    ("learn the layout", "outbox-core/src/consume/discovery/run.rs"),
    ("begin on the old stream", "outbox-core/src/consume/apply.rs"),
    (
        "commit on the old stream",
        "outbox-core/src/consume/landing.rs, outbox-core/queries/consume/move_passed.sql",
    ),
    (
        "fail on the old stream",
        "outbox-core/src/consume/attempt.rs, or a takeover",
    ),
    (
        "begin on the new stream",
        "outbox-core/src/consume/discovery/barrier.rs `admits`, outbox-core/src/consume/discovery/older.rs",
    ),
    ("commit on the new stream", "outbox-core/src/consume/landing.rs"),
    ("lose the old stream", "DEL of one key"),
];

/// What is explored.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let base = Partitions {
        without: Without::Nothing,
        losses: 1,
        failures: 1,
    };
    cases.push(Case::new("partitions", "", None, base));
    let taken = [
        (
            "newer streams wait for older ones",
            Without::Wait,
            partitions::ORDER,
        ),
        (
            "the layout is announced first",
            Without::Announce,
            partitions::ORDER,
        ),
        (
            "each old stream has an entry first",
            Without::Opening,
            partitions::ORDER,
        ),
        (
            "an old stream that is lost holds the newer ones",
            Without::LostHolds,
            partitions::ORDER,
        ),
        (
            "so does one that nobody began to read",
            Without::MarkOfOld,
            partitions::ORDER,
        ),
        (
            "an old stream ends with an entry",
            Without::End,
            partitions::ORDER,
        ),
    ];
    for (name, without, breaks) in taken {
        cases.push(Case::new(
            "partitions",
            name,
            Some(breaks),
            Partitions { without, ..base },
        ));
    }
    cases
}
