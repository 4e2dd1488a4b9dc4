//! `outbox-relay recover apply`: does what a person chose about a database and streams that do not agree.

use clap::Args;
use outbox_core::publish::Kind;
use outbox_core::publish::recover::apply::{self, Applied, Request};
use outbox_core::publish::recover::{self, Strategy};
use serde_json::json;

use super::{ends, inspect};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Which of the two is right, and why.
#[derive(Debug, Args)]
pub struct Arguments {
    /// continue: both, nothing differs; trust-database: what it does not know did not happen; trust-stream: what is on the streams
    /// happened; republish: as trust-database, and everything that the log has is put out again
    #[arg(long, value_name = "STRATEGY", value_parser = ["continue", "trust-database", "trust-stream", "republish"])]
    strategy: String,
    /// Why, for the audit
    #[arg(long)]
    reason: String,
    /// Really
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(config: &Config, arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    let strategy = Strategy::read(&arguments.strategy)
        .ok_or_else(|| Failure::new(Exit::Usage, format!("{} is no strategy", arguments.strategy)))?;
    let ends = ends(config)?;
    if !arguments.yes {
        return preview(&ends, strategy, output).await;
    }
    let request = Request {
        strategy,
        reason: arguments.reason.clone(),
        holder: format!("recover/{}/{:08x}", std::process::id(), rand::random::<u32>()),
    };
    let applied = apply::apply(&ends, &request).await.map_err(|error| {
        let exit = match error.kind() {
            Kind::Refused => Exit::Refused,
            _ => Exit::Error,
        };
        Failure::new(
            exit,
            match error.kind() {
                Kind::Refused => format!("refused: {error}"),
                _ => format!("{error}; what was done stays done: run it again, it goes on from there"),
            },
        )
    })?;
    output.write(&json!({ "applied": applied }), |_| done(&applied, strategy))?;
    // Nothing was to be there that the database does not know.
    Ok(match strategy {
        Strategy::Continue if applied.late > 0 => Exit::Partial,
        _ => Exit::Success,
    })
}

async fn preview(ends: &recover::inspect::Ends, strategy: Strategy, output: Output) -> Result<Exit, Failure> {
    let found = recover::inspect::inspect(ends, 100)
        .await
        .map_err(|error| Failure::error(format!("{error}; {}", error.advice())))?;
    let choice = recover::choices(&found)
        .into_iter()
        .find(|choice| choice.strategy == strategy.word());
    let refusal = choice.as_ref().and_then(|choice| choice.refusal.clone());
    output.write(&json!({ "found": found, "choice": choice }), |_| {
        inspect::text(&found)
    })?;
    Err(Failure::new(
        Exit::Refused,
        match refusal {
            Some(why) => format!("refused: {why}"),
            None => format!(
                "nothing was done; --strategy {} would {}; stop every relay and give --yes to do it",
                strategy.word(),
                choice.map_or_else(String::new, |choice| choice.would)
            ),
        },
    ))
}

fn done(applied: &Applied, strategy: Strategy) -> String {
    let era = match applied.era {
        Some(era) => format!("era {era} is open and puts {} events out", applied.events),
        None => "the era was open already".to_owned(),
    };
    let late = if applied.late > 0 {
        format!(
            "; {} of them landed meanwhile: somebody else still publishes here, stop it first",
            applied.late
        )
    } else {
        String::new()
    };
    format!(
        "recovery {}: {} entries {}{late}; {era}, from batch id {} on; start the relays\n",
        applied.recovery,
        applied.entries,
        if strategy.removes() {
            "kept in outbox.unknown_entry and taken off their streams"
        } else {
            "kept in outbox.unknown_entry and left on their streams"
        },
        applied.batch_id
    )
}
