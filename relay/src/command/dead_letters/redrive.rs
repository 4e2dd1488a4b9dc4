//! `dead-letters redrive`: says what would happen, and with `--yes` asks for it and shows how it goes.

use clap::Args;
use outbox_core::dead_letter::{self, Filter, Operation, Preview};
use serde::Serialize;
use sqlx::{Connection as _, PgConnection};

use super::selection::Selection;
use super::{preview, refusal};
use crate::command::{operation, within};
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// What to put back, and how.
#[derive(Debug, Args)]
pub struct Redrive {
    #[command(flatten)]
    selection: Selection,
    /// Every dead letter, when nothing else selects
    #[arg(long)]
    all: bool,
    /// What was mended, for the audit
    #[arg(long)]
    reason: String,
    /// Letters per second, such as 10 or 10/s [default: as fast as they are applied]
    #[arg(long, value_name = "N/s", value_parser = per_second)]
    rate: Option<f64>,
    /// Do it; without this it is only said what would happen
    #[arg(long)]
    yes: bool,
    /// Ask for it and do not wait
    #[arg(long)]
    detach: bool,
}

/// What a program is told.
#[derive(Serialize)]
struct Told {
    preview: Vec<Preview>,
    operation: Option<Operation>,
}

/// What came of asking.
enum Begun {
    Operation(i64),
    Refused(Failure),
}

pub(super) async fn run(config: &Config, arguments: &Redrive, output: Output) -> Result<Exit, Failure> {
    let filter = arguments.selection.deliberate(arguments.all, "redrive")?;
    let mut connection = connect::connection(config, Role::Command).await?;
    let asked = begin(&mut connection, &filter, arguments, output);
    let (preview, begun) = within(config, "Postgres", asked).await?;
    let mut told = Told {
        preview,
        operation: None,
    };
    let number = match begun {
        Begun::Operation(number) => number,
        Begun::Refused(refusal) => {
            output.write(&told, |_| String::new())?;
            return Err(refusal);
        }
    };
    let (operation, exit) = match arguments.detach {
        true => (
            operation::read(config, &mut connection, number).await?,
            Exit::Success,
        ),
        false => operation::follow(config, &mut connection, number).await?,
    };
    told.operation = Some(operation);
    output.write(&told, |told| {
        told.operation.as_ref().map(operation::line).unwrap_or_default()
    })?;
    Ok(exit)
}

/// Preview and redrive see the same letters: one transaction with one snapshot.
async fn begin(
    connection: &mut PgConnection,
    filter: &Filter,
    arguments: &Redrive,
    output: Output,
) -> Result<(Vec<Preview>, Begun), Failure> {
    let mut transaction = connection
        .begin_with("begin isolation level repeatable read")
        .await?;
    let previews = dead_letter::preview(&mut transaction, filter).await?;
    if output == Output::Table {
        print!("{}", preview::redrive(&previews, arguments.rate));
    }
    let consumers: Vec<&str> = previews
        .iter()
        .filter(|preview| preview.letters > 0)
        .map(|preview| preview.consumer.as_str())
        .collect();
    let takes_everything = !arguments.all
        && !consumers.is_empty()
        && dead_letter::takes_everything(&mut transaction, filter).await?;
    let refusal = match takes_everything {
        true => Some(refusal::everything(filter, "redrive")),
        false => refusal::of(&consumers, " that can go back", arguments.yes),
    };
    if let Some(refusal) = refusal {
        return Ok((previews, Begun::Refused(refusal)));
    }
    let number = dead_letter::redrive(
        &mut transaction,
        filter,
        &arguments.reason,
        arguments.rate,
        arguments.all,
    )
    .await?;
    transaction.commit().await?;
    Ok((previews, Begun::Operation(number)))
}

/// What the database takes.
const RATES: std::ops::RangeInclusive<f64> = 1e-5..=1e6;

fn per_second(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).trim().parse::<f64>().ok();
    number.filter(|rate| RATES.contains(rate)).ok_or_else(|| {
        "a rate is letters per second, from 0.00001 (about one a day) to 1000000, for example 10 or 0.5/s"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_so_many_per_second() {
        assert_eq!((per_second("10/s"), per_second("0.5")), (Ok(0.5 * 20.0), Ok(0.5)));
        for refused in ["0", "-1", "1e-12", "1e7", "fast", "10/m", "NaN", "inf", ""] {
            assert!(per_second(refused).is_err(), "{refused}");
        }
    }
}
