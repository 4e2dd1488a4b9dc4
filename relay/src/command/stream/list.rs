//! `stream ls`: which streams there are.

use clap::Args;
use outbox_core::event_store::{self, StreamListing};
use serde_json::{Value, json};
use sqlx::Connection as _;
use time::format_description::well_known::Rfc3339;

use super::failed;
use crate::command::within;
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::output::{Output, table};

/// Which streams.
#[derive(Debug, Args)]
pub struct List {
    /// Only those of this category
    category: Option<String>,
    /// Only those behind this name: the last one of the page before
    #[arg(long, value_name = "STREAM", default_value = "")]
    behind: String,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max: u32,
}

/// Lists them.
///
/// # Errors
/// Postgres cannot be reached or refuses.
pub async fn run(config: &Config, list: &List, output: Output) -> Result<Exit, Failure> {
    let mut connection = connect::connection(config, Role::Report).await?;
    let asked = async {
        event_store::list_streams(&mut connection, list.category.as_deref(), &list.behind, list.max)
            .await
            .map_err(failed)
    };
    let streams = within(config, "Postgres", asked).await?;
    connection.close().await?;
    let report: Vec<Value> = streams.iter().map(told).collect();
    output.write(&report, |_| page(&streams, list.max))?;
    Ok(Exit::Success)
}

fn told(stream: &StreamListing) -> Value {
    json!({
        "stream": stream.name.as_str(),
        "category": stream.name.category(),
        "version": stream.version,
        "first_version": stream.first_version,
        "created_at": stream.created_at.format(&Rfc3339).ok(),
        "recorded_at": stream.recorded_at.and_then(|at| at.format(&Rfc3339).ok()),
    })
}

fn page(streams: &[StreamListing], max: u32) -> String {
    let rows: Vec<Vec<String>> = streams
        .iter()
        .map(|stream| {
            vec![
                stream.name.to_string(),
                stream.version.to_string(),
                stream.first_version.to_string(),
                stream
                    .recorded_at
                    .and_then(|at| at.format(&Rfc3339).ok())
                    .unwrap_or_default(),
            ]
        })
        .collect();
    let mut text = table(&["STREAM", "VERSION", "FIRST", "RECORDED AT"], &rows);
    if let Some(last) = streams.last()
        && streams.len() == max as usize
    {
        text.push_str(&format!("more: --behind {}\n", last.name));
    }
    text
}
