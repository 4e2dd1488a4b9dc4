//! `outbox-relay stream`: the streams of the event store, for people and scripts. Reading shows payloads: it needs `outbox_reader`,
//! appending `outbox_producer`,
//! archiving `outbox_maintainer`.

use clap::Subcommand;
use outbox_core::event_store::{Error, NotAStreamName, StreamName};

use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::output::Output;

mod across;

pub mod append;

pub mod archive;

pub mod list;

pub mod read;

/// What to do with streams.
#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// List streams with their versions, in the order of their names
    Ls(list::List),
    /// Show the events of a stream, or across streams, payloads included
    Read(read::Read),
    /// Append one event to a stream, if it is at the version that is expected
    Append(append::Append),
    /// Move events of a stream out of the hot piece, oldest first; reads find them as before
    Archive(archive::Archive),
}

/// Does it.
///
/// # Errors
/// Postgres cannot be reached or refuses; exit code 4 when the stream is not where it was expected, or keeps what is not yet published.
pub async fn run(config: &Config, arguments: Arguments, output: Output) -> Result<Exit, Failure> {
    match arguments {
        Arguments::Ls(list) => list::run(config, &list, output).await,
        Arguments::Read(read) => read::run(config, &read, output).await,
        Arguments::Append(append) => append::run(config, append, output).await,
        Arguments::Archive(archive) => archive::run(config, &archive, output).await,
    }
}

/// A name on the command line.
fn name(text: &str) -> Result<StreamName, NotAStreamName> {
    text.parse()
}

/// What the event store says, for the command line.
fn failed(error: Error) -> Failure {
    Failure::error(format!("{error}. {}", error.advice()))
}
