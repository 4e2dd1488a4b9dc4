//! `dead-letters edit` and `discard`: what a person makes of a letter.

use std::io::Read as _;

use clap::Args;
use outbox_core::dead_letter::{self, DiscardPreview, Filter, Letter, State};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use sqlx::{Connection as _, PgConnection};

use super::look::find;
use super::selection::Selection;
use super::{preview, refusal};
use crate::command::within;
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// What to edit.
#[derive(Debug, Args)]
pub struct Edit {
    /// Number of the dead letter, or id of its event
    id: String,
    /// The new data: JSON, @FILE with JSON, or @- for standard input
    #[arg(long, value_name = "JSON|@FILE")]
    data: String,
    /// Why, for the audit
    #[arg(long)]
    reason: String,
    /// Do it; without this it is only said what would happen
    #[arg(long)]
    yes: bool,
}

/// What to give up.
#[derive(Debug, Args)]
pub struct Discard {
    #[command(flatten)]
    selection: Selection,
    /// Every dead letter, when nothing else selects
    #[arg(long)]
    all: bool,
    /// Why, for the audit
    #[arg(long)]
    reason: String,
    /// Do it; without this it is only said what would happen
    #[arg(long)]
    yes: bool,
}

/// What a program is told.
#[derive(Serialize)]
struct Told {
    preview: Vec<DiscardPreview>,
    discarded: Option<i64>,
}

pub(super) async fn edit(config: &Config, arguments: &Edit, output: Output) -> Result<Exit, Failure> {
    let data = data(&arguments.data)?;
    let mut connection = connect::connection(config, Role::Command).await?;
    let edited = async {
        let mut transaction = connection.begin().await?;
        let letter = the_one(&mut transaction, &arguments.id).await?;
        if arguments.yes {
            dead_letter::edit(&mut transaction, letter.summary.number, &data, &arguments.reason).await?;
            transaction.commit().await?;
        }
        Ok(letter)
    };
    let letter = within(config, "Postgres", edited).await?;
    let before: usize = letter.event().map_or(0, |event| {
        event.data.map_or(0, |data| data.view().as_bytes().len())
    });
    let report = json!({
        "number": letter.summary.number, "id": letter.summary.id, "bytes_before": before, "bytes_after": data.get().len(),
        "edited": arguments.yes,
    });
    let verb = if arguments.yes { "has" } else { "would have" };
    let said = format!(
        "dead letter {} {verb} {} bytes of data instead of {before}; what came is kept\n",
        letter.summary.number,
        data.get().len()
    );
    output.write(&report, |_| said)?;
    if !arguments.yes {
        return Err(Failure::new(Exit::Refused, refusal::NOT_CONFIRMED));
    }
    if output == Output::Table {
        println!(
            "outbox-relay dead-letters redrive --id {} hands it to the handler",
            letter.summary.number
        );
    }
    Ok(Exit::Success)
}

/// The one letter that can be meant.
async fn the_one(connection: &mut PgConnection, id: &str) -> Result<Letter, Failure> {
    let mut letters = find(connection, id).await?;
    // Of several letters of one event the dead ones can be meant.
    if letters.len() > 1 {
        letters.retain(|letter| letter.summary.state == State::Dead);
    }
    match letters.pop() {
        Some(letter) if letters.is_empty() => Ok(letter),
        _ => Err(Failure::new(
            Exit::Refused,
            format!(
                "event {id} has several dead letters, or none that is dead any more; name one by its number, as \
                 outbox-relay dead-letters list --id {id} --state any shows it"
            ),
        )),
    }
}

/// JSON from the command line, a file or standard input.
fn data(given: &str) -> Result<Box<RawValue>, Failure> {
    let usage = |what: String| {
        Failure::new(
            Exit::Usage,
            format!("--data: {what}; for example --data @order.json or --data '{{\"item\": 7}}'"),
        )
    };
    let text = match given.strip_prefix('@') {
        None => given.to_owned(),
        Some("-") => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| usage(format!("standard input cannot be read: {error}")))?;
            text
        }
        Some(path) => {
            std::fs::read_to_string(path).map_err(|error| usage(format!("{path} cannot be read: {error}")))?
        }
    };
    // The error of the parser says where, and nothing of what.
    RawValue::from_string(text.trim().to_owned())
        .map_err(|error| usage(format!("must be JSON, is not: {error}")))
}

pub(super) async fn discard(config: &Config, arguments: &Discard, output: Output) -> Result<Exit, Failure> {
    let filter = arguments.selection.deliberate(arguments.all, "discard")?;
    let mut connection = connect::connection(config, Role::Command).await?;
    let (told, refusal) = within(
        config,
        "Postgres",
        give_up(&mut connection, &filter, arguments, output),
    )
    .await?;
    output.write(&told, |told| match told.discarded {
        None => String::new(),
        Some(letters) => format!("{letters} discarded; what waited behind goes on\n"),
    })?;
    refusal.map_or(Ok(Exit::Success), Err)
}

/// Discarding waits for those who apply, and must see what they did: it cannot have the snapshot of its preview. What is no
/// longer as it was shown is left as it is.
async fn give_up(
    connection: &mut PgConnection,
    filter: &Filter,
    arguments: &Discard,
    output: Output,
) -> Result<(Told, Option<Failure>), Failure> {
    let mut transaction = connection.begin().await?;
    let preview = dead_letter::preview_discard(&mut transaction, filter).await?;
    if output == Output::Table {
        print!("{}", preview::discard(&preview));
    }
    let consumers: Vec<&str> = preview.iter().map(|preview| preview.consumer.as_str()).collect();
    let takes_everything = !arguments.all
        && !consumers.is_empty()
        && dead_letter::takes_everything(&mut transaction, filter).await?;
    let mut refusal = match takes_everything {
        true => Some(refusal::everything(filter, "discard")),
        false => refusal::of(&consumers, "", arguments.yes),
    };
    let mut discarded = None;
    if refusal.is_none() {
        let shown = preview.iter().map(|preview| preview.letters).sum();
        let found = dead_letter::discard(&mut transaction, filter, &arguments.reason, arguments.all).await?;
        if found == shown {
            transaction.commit().await?;
            discarded = Some(found);
        } else {
            transaction.rollback().await?;
            refusal = Some(refusal::changed(shown, found));
        }
    }
    Ok((Told { preview, discarded }, refusal))
}
