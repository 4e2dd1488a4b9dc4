//! The command line: what can be asked, and how an answer becomes an exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::command::{
    check, completions, config as config_command, consume, consumer, dead_letters, demo, migrate, operation,
    projection, recover, run, status, stream, topic, trace, version,
};
use crate::config::flags::Flags;
use crate::config::{Config, Need, Sources};
use crate::exit::{Exit, Failure};
use crate::otlp::Exporter;
use crate::output::Output;
use crate::{signal, telemetry};

/// The relay of the transactional outbox: tails the log in Postgres and publishes CloudEvents to Redis Streams.
///
/// Settings come from flags, then the environment, then files with secrets, then a TOML file; `outbox-relay config` prints
/// what is in force. Exit codes: 0 ok, 1 error, 2 usage, 3 check failed or degraded, 4 refused for safety, 5 partial.
#[derive(Debug, Parser)]
#[command(name = "outbox-relay", version, max_term_width = 120)]
pub struct Cli {
    /// TOML file with settings [OUTBOX_CONFIG]
    #[arg(long, global = true, value_name = "PATH")]
    pub config: Option<PathBuf>,

    /// The form of reports
    #[arg(long, short, global = true, value_enum, default_value_t)]
    pub output: Output,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// A flag for every setting.
    #[command(flatten)]
    pub flags: Flags,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tail the log and publish, or stand by for the relay that does
    Run,
    /// Apply the events of topics by an SQL function of this database, each once
    Consume(consume::Arguments),
    /// Bring the database to the version of this binary; safe to repeat, also from several processes at once
    Migrate(migrate::Arguments),
    /// Show the operators' views: does work move, and if not, why (exit code 3)
    Status,
    /// Look at Postgres and Redis: versions, settings, permissions, identity (exit codes 3 and 4)
    Check,
    /// List topics, set their retention, and decide about those that were set aside
    #[command(subcommand)]
    Topic(topic::Arguments),
    /// List, read, append to and archive the streams of the event store
    #[command(subcommand)]
    Stream(stream::Arguments),
    /// List the projections of the event store, build them anew, pause and resume them
    #[command(subcommand)]
    Projection(projection::Arguments),
    /// Look at what a consumer gave up, and put back, edit, discard or export it
    #[command(subcommand)]
    DeadLetters(dead_letters::Arguments),
    /// Look at what operators asked for, cancel and resume it
    #[command(subcommand)]
    Operation(operation::Arguments),
    /// List consumer groups and their lag, pause and resume them, take a stream from a stuck member, read again from earlier
    #[command(subcommand)]
    Consumer(consumer::Arguments),
    /// Put streams out again, after one of the two ends lost data
    #[command(subcommand)]
    Recover(recover::Arguments),
    /// Show where one event is and was: appended, published, applied or not, and why
    Trace(trace::Arguments),
    /// Show the whole path once, on the configured servers, in a database of its own that is dropped afterwards
    Demo(demo::Arguments),
    /// Print the settings in force and where each comes from, without secrets
    Config(config_command::Arguments),
    /// Print completions for a shell
    Completions(completions::Arguments),
    /// Print the version, and the schema versions this binary makes and needs
    Version,
}

impl Command {
    /// What the configuration must hold for this command.
    fn needs(&self) -> &'static [Need] {
        match self {
            Self::Run | Self::Consume(_) | Self::Demo(_) => &[Need::Postgres, Need::Redis],
            Self::Check => &[Need::Postgres, Need::Redis],
            Self::Migrate(_) | Self::Status | Self::Topic(_) | Self::Stream(_) => &[Need::Postgres],
            Self::DeadLetters(_) | Self::Operation(_) | Self::Trace(_) => &[Need::Postgres],
            Self::Projection(_) => &[Need::Postgres],
            Self::Consumer(arguments) => arguments.needs(),
            Self::Recover(arguments) => arguments.needs(),
            Self::Config(_) | Self::Completions(_) | Self::Version => &[],
        }
    }

    /// Whether it goes on until it is told to stop, and has something to finish then.
    fn stays(&self) -> bool {
        matches!(self, Self::Run | Self::Consume(_) | Self::Demo(_))
    }

    /// `stop`: cancelled by a signal, for those that stay.
    async fn run(self, config: &Config, output: Output, stop: CancellationToken) -> Result<Exit, Failure> {
        match self {
            Self::Run => run::run(config, stop).await,
            Self::Consume(arguments) => consume::run(config, arguments, stop).await,
            Self::Migrate(arguments) => migrate::run(config, &arguments, output).await,
            Self::Status => status::run(config, output).await,
            Self::Check => check::run(config, output).await,
            Self::Topic(arguments) => topic::run(config, &arguments, output).await,
            Self::Stream(arguments) => stream::run(config, arguments, output).await,
            Self::Projection(arguments) => projection::run(config, &arguments, output).await,
            Self::DeadLetters(arguments) => dead_letters::run(config, &arguments, output).await,
            Self::Operation(arguments) => operation::run(config, &arguments, output).await,
            Self::Consumer(arguments) => consumer::run(config, &arguments, output).await,
            Self::Recover(arguments) => recover::run(config, &arguments, output).await,
            Self::Trace(arguments) => trace::run(config, arguments, output).await,
            Self::Demo(arguments) => demo::run(config, &arguments, output, stop).await,
            Self::Config(arguments) => config_command::run(config, &arguments, output),
            Self::Completions(arguments) => completions::run(&arguments, Cli::command()),
            Self::Version => version::run(output),
        }
    }
}

/// Catches signals, loads the configuration, starts logging, does what was asked, and says how it ended.
pub fn run(cli: Cli) -> ExitCode {
    match act(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("outbox-relay: {failure}");
            failure.exit.into()
        }
    }
}

fn act(cli: Cli) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::error(format!("the runtime could not be started: {error}")))?;
    let stop = match cli.command.stays() {
        true => {
            let _inside = runtime.enter();
            signal::stop_token()
                .map_err(|error| Failure::error(format!("signals could not be caught: {error}")))?
        }
        false => CancellationToken::new(),
    };
    let config = load(&cli)?;
    let (exporter, warnings) = match cli.command {
        Command::Run | Command::Consume(_) => Exporter::of_environment(runtime.handle().clone()),
        _ => (None, Vec::new()),
    };
    telemetry::start(&config.log, exporter.as_ref())?;
    for warning in config.warnings.iter().chain(&warnings) {
        tracing::warn!("{warning}");
    }
    if stop.is_cancelled() {
        tracing::info!("told to stop before it began");
    }
    let ended = runtime.block_on(cli.command.run(&config, cli.output, stop));
    if let Some(exporter) = exporter {
        exporter.flush();
    }
    ended
}

fn load(cli: &Cli) -> Result<Config, Failure> {
    // Names that are not UTF-8 cannot be ours; a value that is not is refused where it is looked for.
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let variables = variables.map(|(name, value)| (name, value.to_string_lossy().into_owned()));
    let variables: std::collections::BTreeMap<String, String> = variables.collect();
    let named = variables
        .get("OUTBOX_CONFIG")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    let file = cli.config.clone().or(named);
    let sources = Sources {
        flags: cli.flags.0.clone(),
        variables,
        file,
    };
    Ok(Config::load(sources, cli.command.needs())?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_setting_may_stand_before_or_behind_the_command() {
        for line in [
            ["outbox-relay", "--tail-lease-ttl", "5s", "status"],
            ["outbox-relay", "status", "--tail-lease-ttl", "5s"],
        ] {
            let cli = Cli::try_parse_from(line).expect("a command line");
            assert_eq!(
                cli.flags.0.get("tail-lease-ttl").map(String::as_str),
                Some("5s"),
                "{line:?}"
            );
        }
    }
}
