//! `outbox-relay recover abandon`: gives up a recovery that was begun and is not to be finished.

use clap::Args;
use outbox_core::publish::Kind;
use outbox_core::publish::recover::abandon::abandon;
use outbox_core::publish::recover::{Strategy, Unfinished};
use serde_json::json;

use super::ends;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Why.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Why, for the audit
    #[arg(long)]
    reason: String,
    /// Really
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(config: &Config, arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    let ends = ends(config)?;
    let given_up = abandon(&ends, &arguments.reason, arguments.yes)
        .await
        .map_err(|error| match error.kind() {
            Kind::Refused => Failure::new(Exit::Refused, format!("refused: {error}")),
            _ => Failure::error(format!("{error}; {}", error.advice())),
        })?;
    let report = json!({ "abandoned": arguments.yes, "recovery": given_up });
    output.write(&report, |_| said(&given_up, arguments.yes))?;
    if arguments.yes {
        return Ok(Exit::Success);
    }
    Err(Failure::new(
        Exit::Refused,
        "nothing was done; give --yes to do it",
    ))
}

fn said(given_up: &Unfinished, is_done: bool) -> String {
    let taken_off = if given_up.removing {
        format!(
            "it has begun to take {} entries off their streams, and those stay off: they are whole in outbox.unknown_entry, groups that had \
             not read them do not see them, and effects of groups that had stay",
            given_up.removed
        )
    } else {
        "it has taken nothing off the streams".to_owned()
    };
    let removes = Strategy::read(&given_up.strategy).is_some_and(Strategy::removes);
    let next = if given_up.removing && removes {
        "; what is left there is judged anew"
    } else {
        ""
    };
    format!(
        "recovery {} ({}) {}: {taken_off}{next}; relays refuse as before: look with `recover inspect` and choose\n",
        given_up.number,
        given_up.strategy,
        if is_done {
            "is given up"
        } else {
            "would be given up"
        },
    )
}
