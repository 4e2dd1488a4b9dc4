//! One stream: what each step stands for, and what is explored.

use super::{Case, Size, Stands};
use crate::explore::LIVENESS;
use crate::stream::{self, Stream, Without};

/// What each step stands for.
pub(super) const STEPS: Stands = &[
    ("append", "`outbox.append` in migrations/sql/log/0004_append.sql"),
    ("cut", "outbox-core/queries/tail/cut_batch.sql"),
    (
        "cut, and be refused",
        "the same, the number taken; outbox-core/src/tail/run.rs ends the term",
    ),
    (
        "see that the ledger went on",
        "outbox-core/src/tail/run.rs `compare_ledger`, outbox-core/queries/tail/read_end.sql",
    ),
    (
        "take the lead",
        "outbox-core/src/tail/candidate.rs `wait_for_lead`, outbox-core/src/publish/leader.rs `start`",
    ),
    (
        "take the lead from one that is stopped",
        "the same, the lease of another run out: outbox-core/queries/tail/take_lease.sql",
    ),
    (
        "step down",
        "outbox-core/src/tail/candidate.rs `keep`, outbox-core/src/publish/leader.rs `check_lease`",
    ),
    (
        "compare",
        "outbox-core/src/publish/compare.rs `connect_and_compare`",
    ),
    (
        "compare, and see a loss",
        "outbox-core/src/publish/compare.rs `compare_chains`, outbox-core/src/publish/halt.rs",
    ),
    (
        "send",
        "outbox-core/src/publish/send.rs `send_parcels`, outbox-core/src/publish/parcel.rs",
    ),
    (
        "have a parcel arrive",
        "outbox-core/src/publish/redis/put.rs `put`, outbox-core/src/publish/sink.rs `settle`, outbox-core/src/publish/lane.rs `confirm`",
    ),
    (
        "have a parcel arrive, and not hear the answer",
        "the same, the connection lost; outbox-core/src/publish/halt.rs `sink_failed`",
    ),
    (
        "have a parcel vanish",
        "what a relay that is gone had sent does not arrive",
    ),
    (
        "have a parcel refused (out of memory)",
        "Redis is full: outbox-core/src/publish/redis/put.rs `put`, which is refused as a whole",
    ),
    (
        "lose the connection",
        "outbox-core/src/publish/halt.rs `sink_failed`",
    ),
    (
        "record progress",
        "outbox-core/queries/publish/record_progress.sql",
    ),
    (
        "set the stream aside",
        "outbox-core/src/publish/send.rs `set_aside_too_large`, outbox-core/queries/publish/set_aside.sql",
    ),
    (
        "look what is left",
        "outbox-core/src/publish/upkeep/losses.rs `mend`, outbox-core/src/publish/upkeep/holes.rs, outbox-core/src/publish/repair.rs",
    ),
    (
        "let a whole stream go on",
        "outbox-core/src/publish/upkeep/losses.rs `look_at_end`",
    ),
    (
        "cut a re-issue",
        "outbox-core/queries/tail/cut_reissue.sql by outbox-core/src/tail/run.rs `cut_again`, outbox-core/src/publish/lane.rs `jump`",
    ),
    ("re-issue, and be refused", "the same, the number taken"),
    (
        "record a floor",
        "outbox-core/src/publish/trim.rs `decide`, `below_gaps`, outbox-core/queries/publish/record_floor.sql",
    ),
    ("trim", "outbox-core/src/publish/upkeep/trimming.rs `take_off`"),
    (
        "drop a piece",
        "outbox-core/src/tail/upkeep.rs: see the model `pieces`",
    ),
    ("die", "a relay is killed; what it sent may still arrive"),
    (
        "crash",
        "Postgres is killed: progress and skips that were not flushed are undone",
    ),
    ("lose the stream", "DEL, FLUSHALL, a restart without persistence"),
    (
        "lose the end of the stream",
        "a tail cut from the append-only file, a stale replica",
    ),
    (
        "resume",
        "`outbox.resume_topic` in migrations/sql/log/0004_append.sql, the limit raised",
    ),
    (
        "skip",
        "`outbox.skip_event` in migrations/sql/log/0004_append.sql",
    ),
    ("make the group", "outbox-core/src/consume/session.rs `open`"),
    (
        "read and apply",
        "outbox-core/src/consume/gate.rs `judge`: Apply or Superseded",
    ),
    ("read and hold", "outbox-core/src/consume/gate.rs `judge`: Held"),
    (
        "apply what was held",
        "outbox-core/src/consume/pending.rs `release_held`",
    ),
];

/// What is explored.
pub(super) fn cases(size: Size) -> Vec<Case> {
    let mut cases = Vec::new();
    let base = Stream {
        without: Without::Nothing,
        events: 2,
        losses: 0,
        crashes: 0,
        relays: 0,
        answers: 0,
        trims: 0,
        too_large: false,
        drops: false,
    };
    let events = match size {
        Size::Small => 2,
        Size::Large => 3,
    };
    let whole = [
        (
            "stream, losses",
            Stream {
                events,
                losses: 1,
                relays: 1,
                answers: 1,
                ..base
            },
        ),
        (
            "stream, two losses",
            Stream {
                losses: 2,
                relays: 1,
                ..base
            },
        ),
        (
            "stream, crashes",
            Stream {
                events,
                crashes: 1,
                relays: 1,
                answers: 1,
                drops: true,
                ..base
            },
        ),
        (
            "stream, trims",
            Stream {
                events: 3,
                crashes: 1,
                relays: 1,
                trims: 1,
                ..base
            },
        ),
        (
            "stream, trims and losses",
            Stream {
                events,
                losses: 1,
                relays: 1,
                trims: 1,
                ..base
            },
        ),
        (
            "stream, skips",
            Stream {
                events: 3,
                crashes: 1,
                relays: events - 2,
                too_large: true,
                ..base
            },
        ),
    ];
    for (name, protocol) in whole {
        cases.push(Case::new(name, "", None, protocol));
    }
    if size == Size::Large {
        let everything = Stream {
            losses: 1,
            crashes: 1,
            relays: 1,
            answers: 1,
            trims: 1,
            ..base
        };
        cases.push(Case::new("stream, everything", "", None, everything));
        cases.push(Case::new(
            "stream, two of each",
            "",
            None,
            Stream {
                losses: 2,
                relays: 2,
                answers: 1,
                ..base
            },
        ));
        let unasked = Stream {
            without: Without::LeaseFirst,
            ..everything
        };
        cases.push(Case::new(
            "stream",
            "the lease is looked at before a loss counts",
            None,
            unasked,
        ));
    }
    let faults = Stream {
        events: 3,
        losses: 1,
        relays: 1,
        answers: 1,
        ..base
    };
    let trims = Stream {
        events: 3,
        crashes: 1,
        relays: 1,
        trims: 1,
        answers: 1,
        ..base
    };
    let skips = Stream {
        events: 3,
        crashes: 1,
        too_large: true,
        ..base
    };
    let taken = [
        (
            "transaction and confirmation (plain pipeline)",
            Without::Transaction,
            stream::FALSE_ALARM,
            Stream {
                losses: 0,
                answers: 2,
                ..faults
            },
        ),
        (
            "transaction and confirmation (plain pipeline)",
            Without::Transaction,
            stream::ENTRIES,
            Stream {
                losses: 0,
                answers: 2,
                ..faults
            },
        ),
        (
            "position in the id (index instead)",
            Without::Position,
            stream::FALSE_ALARM,
            Stream {
                losses: 0,
                drops: true,
                ..faults
            },
        ),
        (
            "fresh ids for a re-issue",
            Without::FreshIds,
            LIVENESS,
            Stream {
                events: 2,
                answers: 0,
                ..faults
            },
        ),
        ("gate", Without::Gate, stream::ORDER, faults),
        (
            "no effect at or below the gate",
            Without::Superseded,
            stream::ORDER,
            faults,
        ),
        (
            "ask for the predecessor (ask for the top)",
            Without::Predecessor,
            LIVENESS,
            Stream {
                events: 2,
                answers: 0,
                ..faults
            },
        ),
        (
            "top untouched (raise the top)",
            Without::TopUntouched,
            LIVENESS,
            Stream {
                events: 2,
                answers: 0,
                ..faults
            },
        ),
        (
            "re-issue all (only the missing)",
            Without::WholeRest,
            LIVENESS,
            Stream {
                events: 2,
                answers: 0,
                ..faults
            },
        ),
        ("trim floor", Without::Floor, stream::FALSE_ALARM, trims),
        ("trim floor", Without::Floor, stream::ONE_ENTRY, trims),
        (
            "floor flushed with the progress above it",
            Without::FlushedFloor,
            stream::FALSE_ALARM,
            trims,
        ),
        (
            "floor flushed with the progress above it",
            Without::FlushedFloor,
            stream::ONE_ENTRY,
            trims,
        ),
        (
            "a missing group has acknowledged nothing",
            Without::MissingGroup,
            stream::LOST,
            trims,
        ),
        (
            "a skipped event leaves the chain",
            Without::SkipLeavesChain,
            LIVENESS,
            skips,
        ),
        ("synchronous skip", Without::FlushedSkip, stream::ORDER, skips),
        (
            "nothing confirmed, nothing lost",
            Without::NothingConfirmed,
            stream::FALSE_ALARM,
            faults,
        ),
        (
            "the floor is read again before a loss counts",
            Without::FloorReadAgain,
            stream::FALSE_ALARM,
            Stream { crashes: 0, ..trims },
        ),
        (
            "what a group holds holds the floor",
            Without::HoleHoldsFloor,
            stream::LOST,
            Stream {
                losses: 1,
                crashes: 0,
                ..trims
            },
        ),
        (
            "a leader sees that the ledger went on",
            Without::LedgerWatched,
            LIVENESS,
            Stream {
                events: 2,
                losses: 2,
                answers: 0,
                ..faults
            },
        ),
        (
            "a whole stream goes on",
            Without::WholeGoesOn,
            LIVENESS,
            Stream { events: 2, ..faults },
        ),
        (
            "what is refused and not there is missing",
            Without::RefusedIsMissing,
            LIVENESS,
            Stream { events: 2, ..faults },
        ),
    ];
    for (name, without, breaks, protocol) in taken {
        cases.push(Case::new(
            "stream",
            name,
            Some(breaks),
            Stream { without, ..protocol },
        ));
    }
    cases
}
