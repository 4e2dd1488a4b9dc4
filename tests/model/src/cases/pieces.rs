//! Detaching: what each step stands for, and what is explored.

use super::{Case, Stands};
use crate::pieces::{self, Pieces, Without};

/// What each step stands for.
pub(super) const STEPS: Stands = &[
    (
        "append",
        "a row with a position of the old piece, or of the next one",
    ),
    ("commit", "the producer's commit"),
    ("roll back", "the same, undone"),
    ("cut", "outbox-core/queries/tail/cut_batch.sql"),
    (
        "publish",
        "outbox-core/queries/tail/read_share.sql, and the stream",
    ),
    (
        "begin upkeep",
        "outbox-core/src/tail/pg/pieces.rs `begin`, outbox-core/queries/tail/read_upkeep.sql",
    ),
    (
        "end upkeep",
        "outbox-core/src/tail/pg/pieces.rs `drop_passed`, when nothing may go",
    ),
    ("begin to detach", "outbox-core/src/tail/pg/pieces.rs `detach`"),
    (
        "finish the detach",
        "the same; outbox-core/src/tail/pg/pieces.rs `finish_detach`",
    ),
    (
        "attach it again",
        "outbox-core/src/tail/pg/pieces.rs `settle_orphans`",
    ),
    ("drop it", "outbox-core/src/tail/pg/pieces.rs `settle_orphans`"),
    ("die", "upkeep is killed in the middle"),
];

/// What is explored.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let base = Pieces {
        without: Without::Nothing,
        deaths: 2,
    };
    cases.push(Case::new("pieces", "", None, base));
    let taken = [
        (
            "wait for who drew a position there",
            Without::Settled,
            pieces::LOST,
        ),
        (
            "look again after the detach, and wait",
            Without::Recheck,
            pieces::LOST,
        ),
        ("every stream has passed it", Without::Passed, pieces::LOST),
    ];
    for (name, without, breaks) in taken {
        cases.push(Case::new(
            "pieces",
            name,
            Some(breaks),
            Pieces { without, ..base },
        ));
    }
    cases.push(Case::new(
        "pieces",
        "look again after the detach",
        None,
        Pieces {
            without: Without::RecheckAlone,
            ..base
        },
    ));
    cases
}
