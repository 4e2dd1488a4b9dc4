//! Going back in time: what each step stands for, and what is explored.

use super::{Case, Stands};
use crate::eras::{self, Eras, Past, Strategy, Without};
use crate::explore::LIVENESS;

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
        "outbox-core/src/publish/redis/put.rs `put`: the mark is read first, and moved at the end",
    ),
    (
        "publish, and see an unknown mark",
        "outbox-core/src/publish/redis/put.rs `read_results`",
    ),
    (
        "lose its connection",
        "outbox-core/src/publish/halt.rs `sink_failed`",
    ),
    ("be copied", "a base backup, a dump, a standby"),
    ("go on from the copy", "it is started, loaded or promoted"),
    (
        "read and apply",
        "outbox-core/src/consume/gate.rs, outbox-core/src/consume/inbox/pg.rs",
    ),
    (
        "open a new era",
        "`outbox-relay recover apply`; migrations/sql/log/0016_recovering.sql",
    ),
];

/// What is explored.
pub(super) fn cases() -> Vec<Case> {
    use Past::{Beside, Loaded, Restored};
    use Strategy::{Republish, TrustDatabase, TrustStream};
    let base = Eras {
        without: Without::Nothing,
        past: Restored,
        strategy: TrustDatabase,
        events: 4,
        reconnects: 1,
    };
    let whole = [
        ("eras, restored", Restored, TrustDatabase),
        ("eras, beside", Beside, TrustDatabase),
        ("eras, loaded", Loaded, TrustDatabase),
        ("eras, restored, the stream is right", Restored, TrustStream),
        ("eras, beside, the stream is right", Beside, TrustStream),
        ("eras, loaded, the stream is right", Loaded, TrustStream),
        ("eras, restored, all is put out again", Restored, Republish),
        ("eras, loaded, all is put out again", Loaded, Republish),
    ];
    let mut cases: Vec<Case> = whole
        .into_iter()
        .map(|(name, past, strategy)| {
            Case::new(
                name,
                "",
                None,
                Eras {
                    past,
                    strategy,
                    ..base
                },
            )
        })
        .collect();
    let taken = [
        (
            "the mark is compared",
            Without::Mark,
            eras::BLIND,
            Restored,
            TrustDatabase,
        ),
        (
            "each parcel looks at the mark",
            Without::MarkInParcel,
            eras::BLIND,
            Beside,
            TrustDatabase,
        ),
        (
            "the server's identity is compared",
            Without::Identity,
            eras::LOST,
            Loaded,
            TrustDatabase,
        ),
        (
            "floor of an era",
            Without::PositionFloor,
            eras::ONE_ENTRY,
            Loaded,
            TrustDatabase,
        ),
        (
            "an era's first entry names what stays",
            Without::NamesWhatStays,
            LIVENESS,
            Restored,
            TrustDatabase,
        ),
        (
            "inbox, where all is put out again",
            Without::Inbox,
            eras::ONE_EFFECT,
            Restored,
            Republish,
        ),
    ];
    for (name, without, breaks, past, strategy) in taken {
        let events = if breaks == LIVENESS { 4 } else { 6 };
        let protocol = Eras {
            without,
            past,
            strategy,
            events,
            ..base
        };
        cases.push(Case::new("eras", name, Some(breaks), protocol));
    }
    cases.push(Case::new(
        "eras",
        "transaction ids are compared",
        None,
        Eras {
            without: Without::Counter,
            past: Loaded,
            ..base
        },
    ));
    cases
}
