//! Going back in time: what each step stands for, and what is explored.

use super::{Case, Stands};
use crate::eras::{self, Eras, Past, Without};

/// What each step stands for.
pub(super) const STEPS: Stands = &[
    (
        "append and commit",
        "`outbox.append` in migrations/sql/log/0004_append.sql",
    ),
    (
        "compare, and lead",
        "outbox-core/src/tail/ledger.rs `verify`, outbox-core/src/publish/compare.rs `check_marks`",
    ),
    ("compare, and refuse", "outbox-core/src/tail/ledger.rs `Refusal`"),
    ("cut", "outbox-core/queries/tail/cut_batch.sql"),
    (
        "publish",
        "outbox-core/src/publish/redis/connection.rs `put`: the mark is read first, and moved at the end",
    ),
    (
        "publish, and see an unknown mark",
        "outbox-core/src/publish/redis/connection.rs `read_results`",
    ),
    (
        "lose its connection",
        "outbox-core/src/publish/halt.rs `sink_failed`",
    ),
    ("be copied", "a base backup, a dump, a standby"),
    ("go on from the copy", "it is started, loaded or promoted"),
    (
        "open a new era",
        "`outbox-relay recover apply`; migrations/sql/log/0011_era.sql",
    ),
];

/// What is explored.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let base = Eras {
        without: Without::Nothing,
        past: Past::Restored,
        events: 4,
        reconnects: 1,
    };
    cases.push(Case::new("eras, restored", "", None, base));
    cases.push(Case::new(
        "eras, beside",
        "",
        None,
        Eras {
            past: Past::Beside,
            ..base
        },
    ));
    cases.push(Case::new(
        "eras, loaded",
        "",
        None,
        Eras {
            past: Past::Loaded,
            ..base
        },
    ));
    let taken = [
        ("the mark is compared", Without::Mark, eras::BLIND, Past::Restored),
        (
            "each parcel looks at the mark",
            Without::MarkInParcel,
            eras::BLIND,
            Past::Beside,
        ),
        (
            "the server's identity is compared",
            Without::Identity,
            eras::LOST,
            Past::Loaded,
        ),
        (
            "floor of an era",
            Without::PositionFloor,
            eras::ONE_ENTRY,
            Past::Loaded,
        ),
    ];
    for (name, without, breaks, past) in taken {
        cases.push(Case::new(
            "eras",
            name,
            Some(breaks),
            Eras {
                without,
                past,
                events: 6,
                ..base
            },
        ));
    }
    cases.push(Case::new(
        "eras",
        "transaction ids are compared",
        None,
        Eras {
            without: Without::Counter,
            past: Past::Loaded,
            ..base
        },
    ));
    cases
}
