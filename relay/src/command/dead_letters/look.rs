//! `dead-letters groups`, `list` and `show`: what is there.

use clap::Args;
use outbox_core::dead_letter::{self, Filter, Letter, Page, State};
use serde_json::value::RawValue;
use sqlx::PgConnection;

use super::page;
use super::selection::{Became, GivenUp, Selection};
use crate::command::within;
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Of one event there are few letters: one per consumer group.
const LETTERS_OF_EVENT: i64 = 100;

/// Which groups to show.
#[derive(Debug, Args)]
pub struct Groups {
    /// Groups of this consumer group
    #[arg(long)]
    consumer: Option<String>,
    /// One group
    #[arg(long, value_name = "FINGERPRINT")]
    group: Option<String>,
    /// Groups with events of this topic
    #[arg(long)]
    topic: Option<String>,
    /// Groups of events of this type
    #[arg(long = "type", value_name = "TYPE")]
    r#type: Option<String>,
    /// Groups with this class of error
    #[arg(long)]
    class: Option<String>,
    /// Groups given up for this reason
    #[arg(long, value_enum)]
    kind: Option<GivenUp>,
    /// Show at most so many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
}

/// Which letters to list.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    selection: Selection,
    /// What became of them
    #[arg(long, value_enum, default_value_t)]
    state: Became,
    /// Only letters with a higher number than this: where the last list ended
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    past: i64,
    /// List at most so many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
}

/// Which letter to show.
#[derive(Debug, Args)]
pub struct Show {
    /// Number of the dead letter, or id of its event
    id: String,
}

pub(super) async fn groups(config: &Config, arguments: &Groups, output: Output) -> Result<Exit, Failure> {
    let filter = Filter {
        consumer: arguments.consumer.clone(),
        fingerprint: arguments.group.clone(),
        topic: arguments.topic.clone(),
        r#type: arguments.r#type.clone(),
        error_class: arguments.class.clone(),
        error_kind: arguments.kind.map(GivenUp::kind),
        ..Filter::default()
    };
    let mut connection = connect::connection(config, Role::Report).await?;
    let read = async { Ok(dead_letter::groups(&mut connection, &filter, arguments.limit).await?) };
    let groups = within(config, "Postgres", read).await?;
    output.write(&groups, |groups| page::groups(groups))?;
    Ok(Exit::Success)
}

pub(super) async fn list(config: &Config, arguments: &List, output: Output) -> Result<Exit, Failure> {
    let filter = arguments.selection.filter();
    let wanted = Page {
        after: arguments.past,
        most: arguments.limit,
    };
    let mut connection = connect::connection(config, Role::Report).await?;
    let states = arguments.state.states();
    let read = async { Ok(dead_letter::list(&mut connection, &filter, &states, wanted).await?) };
    let letters = within(config, "Postgres", read).await?;
    output.write(&letters, |letters| page::list(letters))?;
    if let Some(last) = letters.last()
        && i64::try_from(letters.len()) == Ok(arguments.limit)
    {
        eprintln!("there may be more: --past {}", last.number);
    }
    Ok(Exit::Success)
}

pub(super) async fn show(config: &Config, arguments: &Show, output: Output) -> Result<Exit, Failure> {
    let mut connection = connect::connection(config, Role::Report).await?;
    let letters = within(config, "Postgres", find(&mut connection, &arguments.id)).await?;
    let records: Vec<Box<RawValue>> = letters
        .iter()
        .map(|letter| RawValue::from_string(letter.to_json()))
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::error(format!("the letter cannot be shown as JSON: {error}")))?;
    let pages = || letters.iter().map(page::letter).collect::<Vec<_>>().join("\n");
    output.write(&records, |_| pages())?;
    Ok(Exit::Success)
}

/// The letters with this number, or of this event; at least one.
pub(super) async fn find(connection: &mut PgConnection, id: &str) -> Result<Vec<Letter>, Failure> {
    let numbers = match id.parse::<i64>() {
        Ok(number) => vec![number],
        Err(_) => {
            let of_event = Filter {
                ids: vec![id.to_owned()],
                ..Filter::default()
            };
            let first = Page {
                after: 0,
                most: LETTERS_OF_EVENT,
            };
            let found = dead_letter::list(connection, &of_event, &State::ALL, first).await?;
            found.into_iter().map(|letter| letter.number).collect()
        }
    };
    let mut letters = Vec::with_capacity(numbers.len());
    for number in numbers {
        letters.extend(dead_letter::whole(connection, number).await?);
    }
    if letters.is_empty() {
        return Err(Failure::error(format!(
            "there is no dead letter with number or event id {id} in this database; outbox-relay dead-letters list --state any shows what is there"
        )));
    }
    Ok(letters)
}
