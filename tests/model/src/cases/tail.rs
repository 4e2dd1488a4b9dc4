//! Cutting: what each step stands for, and what is explored.

use super::{Case, Size, Stands};
use crate::tail::{self, Tail, Without};

/// What each step stands for.
pub(super) const STEPS: Stands = &[
    (
        "take an id",
        "a transaction of a producer writes something before it appends",
    ),
    ("append", "`outbox.append` in migrations/sql/log/0004_append.sql"),
    ("commit", "the producer's commit, asynchronous at worst"),
    ("roll back", "the same, undone"),
    (
        "read the ledger",
        "outbox-core/src/tail/run.rs `Tail::open`, outbox-core/queries/tail/read_head.sql",
    ),
    (
        "cut",
        "outbox-core/queries/tail/cut_batch.sql by outbox-core/src/tail/run.rs `look`; behind a look, outbox-core/queries/tail/cut_looked.sql",
    ),
    (
        "look",
        "outbox-core/queries/tail/look.sql, where it brings a few, by outbox-core/src/tail/look.rs",
    ),
    ("cut nothing", "the same, when it returns no row"),
    (
        "cut, and not hear the answer",
        "the same, the connection lost; outbox-core/src/tail/candidate.rs begins another term",
    ),
    (
        "be refused",
        "the trigger `one_chain` and the key of `outbox.batch` in migrations/sql/log/0003_ledger.sql",
    ),
    ("publish", "a batch as a whole: see the model `stream`"),
    ("commit the batch", "only where that mechanism is taken away"),
    ("die", "a relay ends; outbox-core/src/tail/candidate.rs"),
    ("crash", "Postgres is killed: what was not flushed is undone"),
];

/// What is explored.
pub(super) fn cases(size: Size) -> Vec<Case> {
    let mut cases = Vec::new();
    let (crashes, troubles) = match size {
        Size::Small => (1, 1),
        Size::Large => (2, 2),
    };
    // A look that is not cut yet makes four times as many states.
    let looked_troubles = match size {
        Size::Small => 0,
        Size::Large => 1,
    };
    for (name, looks, troubles) in [
        ("tail", false, troubles),
        ("tail, looks first", true, looked_troubles),
    ] {
        cases.push(Case::new(
            name,
            "",
            None,
            Tail {
                without: Without::Nothing,
                looks,
                crashes,
                troubles,
            },
        ));
    }
    let taken = [
        (
            "batch committed before publishing",
            Without::CommitFirst,
            tail::PHANTOM,
        ),
        (
            "batch committed before publishing",
            Without::CommitFirst,
            tail::ONE_ENTRY,
        ),
        ("synchronous commit of a batch", Without::Flush, tail::PHANTOM),
        (
            "unique number of the ledger",
            Without::UniqueNumber,
            tail::ONE_ENTRY,
        ),
        ("snapshots (position > last)", Without::Snapshots, tail::LOST),
        (
            "order of positions (ordered by xid)",
            Without::PositionOrder,
            tail::ORDER,
        ),
        (
            "order of positions (ordered by xid)",
            Without::PositionOrder,
            tail::STRANGER,
        ),
        ("rows of transactions open before", Without::OpenArm, tail::LOST),
        ("no lower bound on positions", Without::NoLowerBound, tail::LOST),
        (
            "the process of the server that looked",
            Without::SameServer,
            tail::PHANTOM,
        ),
    ];
    for (name, without, breaks) in taken {
        cases.push(Case::new(
            "tail",
            name,
            Some(breaks),
            Tail {
                without,
                looks: without == Without::SameServer,
                crashes: 1,
                troubles: 1,
            },
        ));
    }
    cases
}
