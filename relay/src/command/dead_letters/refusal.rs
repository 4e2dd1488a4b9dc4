//! Why nothing is put back or given up. Pure: the same for a preview and for what it previews.

use outbox_core::dead_letter::Filter;

use crate::exit::{Exit, Failure};

/// For what was not confirmed.
pub(super) const NOT_CONFIRMED: &str = "nothing was done; give --yes to do it";

/// For a selection that leaves no letter out, without `--all`.
pub(super) fn everything(filter: &Filter, verb: &str) -> Failure {
    let whose = match &filter.consumer {
        None => String::new(),
        Some(consumer) => format!(" of consumer {consumer}"),
    };
    Failure::new(
        Exit::Refused,
        format!(
            "this selects every dead letter{whose}: give --all to mean that, or narrow it, for example \
             outbox-relay dead-letters {verb} --group 0f1e2d3c4b5a6978 --reason 'mended in 1.4'; \
             outbox-relay dead-letters groups shows the groups"
        ),
    )
}

/// For letters of these consumers: of exactly one, and confirmed, they are dealt with. `kind` says which letters match.
pub(super) fn of(consumers: &[&str], kind: &str, yes: bool) -> Option<Failure> {
    match consumers {
        [] => Some(Failure::error(format!(
            "no dead letter matches{kind}; outbox-relay dead-letters groups shows what is there"
        ))),
        [_] if yes => None,
        [_] => Some(Failure::new(Exit::Refused, NOT_CONFIRMED)),
        [first, ..] => Some(Failure::new(
            Exit::Refused,
            format!(
                "nothing was done: dead letters of several consumers match ({}); name one, for example --consumer {first}",
                consumers.join(", ")
            ),
        )),
    }
}

/// For letters that died or were dealt with between the preview and what it previews.
pub(super) fn changed(shown: i64, found: i64) -> Failure {
    Failure::new(
        Exit::Refused,
        format!(
            "nothing was done: {found} dead letters match by now, and not {shown} as it was said; run it again"
        ),
    )
}
