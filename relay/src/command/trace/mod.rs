//! `outbox-relay trace`: where one event is and was, in one list. Each place is asked for itself: one that does not answer, or
//! may not be asked, is named, and the rest is shown (exit code 5).

mod ask;

mod page;

use clap::Args;
use outbox_core::ops::trace::{self, Origin, Step};
use secrecy::SecretString;
use serde::Serialize;

use self::page::page;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Which event, and whom to ask about it.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The id of the event
    #[arg(value_name = "EVENT ID")]
    event: String,
    /// A consumer's database; repeat it for several [default: the database of DATABASE_URL]. Others can see a password on a command
    /// line: give it in the environment instead, several URLs with spaces between them
    #[arg(
        long = "consumer-url",
        value_name = "URL",
        env = "CONSUMER_DATABASE_URLS",
        hide_env_values = true,
        value_delimiter = ' '
    )]
    consumers: Vec<SecretString>,
    /// Its source, where the log cannot be asked and several sources have an event of this id
    #[arg(long)]
    source: Option<String>,
}

/// What is known, and who was asked.
#[derive(Debug, Serialize)]
struct Report {
    event: String,
    steps: Vec<Step>,
    asked: Vec<Place>,
}

/// Somebody who was asked, or was not.
#[derive(Debug, Serialize)]
struct Place {
    /// `log`, `consumers` or `redis`.
    part: &'static str,
    /// Where; without user and password.
    address: String,
    /// Why it could not say what it may know.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// Why it was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<&'static str>,
}

/// Asks and shows. Exit code 1 if nobody knows the event, 5 if somebody could not be asked.
///
/// # Errors
/// Standard output was closed.
pub async fn run(config: &Config, arguments: Arguments, output: Output) -> Result<Exit, Failure> {
    let Arguments {
        event,
        consumers,
        source,
    } = arguments;
    let mut report = Report {
        event,
        steps: Vec::new(),
        asked: Vec::new(),
    };
    let writer = report.ask_log(config).await;
    let origins = origins(&report.steps, source);
    let is_named = !consumers.is_empty();
    let mut databases = Vec::new();
    for url in consumers {
        let mut theirs = config.clone();
        theirs.postgres.url = Some(url);
        // It belongs to the other URL.
        theirs.postgres.password = None;
        databases.push(theirs);
    }
    if !is_named {
        databases.push(config.clone());
    }
    for database in &databases {
        report.ask_consumers(database, is_named, &origins).await;
    }
    if let Some(writer) = writer {
        report.ask_redis(config, writer.as_deref()).await;
    }
    report.steps = trace::in_order(std::mem::take(&mut report.steps));
    output.write(&report, page)?;
    Ok(report.exit())
}

impl Report {
    fn note(
        &mut self,
        part: &'static str,
        address: String,
        problem: Option<String>,
        left_out: Option<&'static str>,
    ) {
        self.asked.push(Place {
            part,
            address,
            problem,
            left_out,
        });
    }

    fn exit(&self) -> Exit {
        if self.asked.iter().any(|place| place.problem.is_some()) {
            Exit::Partial
        } else if self.steps.is_empty() {
            Exit::Error
        } else {
            Exit::Success
        }
    }
}

/// What is known about the event's source. None: nothing.
fn origins(steps: &[Step], source: Option<String>) -> Vec<Option<Origin>> {
    let appended = steps.iter().filter(|step| step.step == "appended");
    let known: Vec<Option<Origin>> = appended
        .filter_map(|step| {
            let source = step.text("source")?.to_owned();
            Some(Some(Origin {
                source,
                recorded_at: step.at,
            }))
        })
        .collect();
    if !known.is_empty() {
        return known;
    }
    vec![source.map(|source| Origin {
        source,
        recorded_at: None,
    })]
}
