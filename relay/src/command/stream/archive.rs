//! `stream archive`: events of a stream leave the hot piece, chunk by chunk, each in a transaction of its own.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use outbox_core::event_store::keep::{self, Standing};
use outbox_core::event_store::{Error, StreamName};
use serde_json::json;
use sqlx::Connection as _;

use super::{failed, name};
use crate::command::within;
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Events that are moved in one transaction: a second's work, and no more is undone when it is ended.
const CHUNK: u32 = 10_000;

/// What to archive.
#[derive(Debug, Args)]
pub struct Archive {
    /// The stream, as order-7
    #[arg(value_parser = name)]
    stream: StreamName,
    /// Up to this version; without it, all of it
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    through: Option<u64>,
    /// Why, for the audit
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    reason: String,
}

/// Archives.
///
/// # Errors
/// Postgres cannot be reached or refuses; exit code 3 when there is no such stream, 4 when it keeps what is not yet published and nothing
/// moved, 5 when something had moved before.
pub async fn run(config: &Config, archive: &Archive, output: Output) -> Result<Exit, Failure> {
    let stream = &archive.stream;
    let mut connection = connect::connection(config, Role::Command).await?;
    let standing = within(config, "Postgres", async {
        keep::standing(&mut connection, stream).await.map_err(failed)
    });
    match standing.await? {
        Standing::Present { .. } => {}
        Standing::Absent => {
            return Err(Failure::new(
                Exit::Degraded,
                format!("there is no stream {stream}: nothing was ever appended to it"),
            ));
        }
        Standing::Gone { version } => {
            return Err(Failure::new(
                Exit::Degraded,
                format!("stream {stream} was given a tombstone: of its {version} events none is left"),
            ));
        }
    }
    let mut moved = 0;
    loop {
        let asked = async {
            let chunk =
                keep::archive_stream(&mut connection, stream, archive.through, &archive.reason, CHUNK).await;
            chunk.map_err(|error| refused(error, moved))
        };
        let chunk = within(config, "Postgres", asked).await?;
        moved += chunk.events;
        if chunk.is_finished {
            break;
        }
        eprintln!("{moved} events of stream {stream} are in the archive now");
    }
    connection.close().await?;
    let report = json!({ "stream": stream.as_str(), "through": archive.through, "events": moved });
    let said = match moved {
        0 => format!("nothing of stream {stream} was left to archive\n"),
        _ => format!("{moved} event(s) of stream {stream} are in the archive; reads find them as before\n"),
    };
    output.write(&report, |_| said)?;
    Ok(Exit::Success)
}

/// What was refused, and what that leaves behind.
fn refused(error: Error, moved: u64) -> Failure {
    let done = match moved {
        0 => "nothing was moved".to_owned(),
        _ => format!("{moved} event(s) were moved before it and stay in the archive"),
    };
    let Error::Database { code, .. } = &error else {
        return failed(error);
    };
    let advice = match code.as_str() {
        "55000" => "wait until the relay has passed it (outbox-relay topic list), then run this again",
        "42501" => "grant outbox_maintainer to this user",
        _ => return failed(error),
    };
    let exit = match (code.as_str(), moved) {
        ("55000", 0) => Exit::Refused,
        ("55000", _) => Exit::Partial,
        _ => Exit::Error,
    };
    Failure::new(exit, format!("{error}: {done}; {advice}"))
}
