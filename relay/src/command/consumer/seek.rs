//! `outbox-relay consumer seek`: a group reads again from an earlier place. Without `--yes` it says what would happen.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use futures_util::stream;
use outbox_core::consume::seek::{self, Done, Ends, Preview, Progress, Request, StreamPreview, Target};
use outbox_core::event::EntryId;
use outbox_core::ops;
use outbox_core::tail;
use outbox_core::tail::pg::{Dial, Messages};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::command::within;
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::output::{Output, table};

/// From where to read again, and why.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The consumer group
    #[arg(long)]
    group: String,
    /// The topic, all of whose streams are set back
    #[arg(long)]
    topic: String,
    /// From where: begin, a time (2026-11-20T12:00:00Z), an entry id (1795233600000-41) or the id of an event
    #[arg(long, value_name = "PLACE")]
    to: Target,
    /// Forget what the group applied from there on: the effects happen AGAIN
    #[arg(long)]
    forget_inbox: bool,
    /// The producer's database, which has what the streams no longer have [default: DATABASE_URL, if the log is there]
    #[arg(long, value_name = "URL", conflicts_with = "log_url_file")]
    log_url: Option<String>,
    /// File that holds --log-url
    #[arg(long, value_name = "PATH")]
    log_url_file: Option<PathBuf>,
    /// Why, for the audit
    #[arg(long)]
    reason: String,
    /// Really
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(config: &Config, arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    let ends = Ends {
        database: connect::pool(config, Role::Command)?,
        redis: connect::redis(config)?,
        log: log(config, arguments).await?,
    };
    let request = Request {
        group: arguments.group.clone(),
        topic: arguments.topic.clone(),
        prefix: config.redis.prefix.clone(),
        target: arguments.to.clone(),
        forget: arguments.forget_inbox,
        reason: arguments.reason.clone(),
    };
    if !arguments.yes {
        let preview = seek::preview(&ends, &request).await?;
        let report = preview_json(&request, &preview);
        output.write(&report, |_| preview_text(&request, &preview, ends.log.is_some()))?;
        return Err(Failure::new(Exit::Refused, refusal(preview.refusal.as_deref())));
    }
    let mut told = 0;
    let done = seek::execute(&ends, &request, |progress| tell(progress, &mut told)).await?;
    output.write(&done_json(&done), |_| done_text(&request, &done))?;
    Ok(Exit::Success)
}

fn refusal(refusal: Option<&str>) -> String {
    match refusal {
        Some(why) => format!("refused: {why}"),
        None => "nothing was done; give --yes to do it".to_owned(),
    }
}

/// Progress goes to standard error: standard output has the report. One line per ten thousand.
fn tell(progress: Progress, told: &mut u64) {
    let (line, count) = match progress {
        Progress::Seized => (
            "the streams are taken: nobody applies them until this is done".to_owned(),
            0,
        ),
        Progress::Written { stream, entries } => {
            (format!("{stream}: {entries} older events written"), entries)
        }
        Progress::Forgotten { ids } => (format!("{ids} ids forgotten"), ids),
    };
    if count == 0 || count >= *told + 10_000 || count < *told {
        *told = count;
        eprintln!("{line}");
    }
}

/// The producer's log: as given, or the consumer's own database if the log is there too.
async fn log(config: &Config, arguments: &Arguments) -> Result<Option<(Dial, tail::Options)>, Failure> {
    let given = match &arguments.log_url_file {
        Some(path) => Some(
            std::fs::read_to_string(path)
                .map_err(|error| Failure::error(format!("--log-url-file {}: {error}", path.display())))?
                .trim_end_matches(['\r', '\n'])
                .to_owned(),
        ),
        None => arguments.log_url.clone(),
    };
    let mut config = config.clone();
    match given {
        Some(url) => {
            if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
                return Err(Failure::new(Exit::Usage, "--log-url must be a postgres:// URL"));
            }
            config.postgres.url = Some(SecretString::from(url));
            config.postgres.password = None;
        }
        None => {
            let mut connection = connect::connection(&config, Role::Report).await?;
            let halves = within(&config, "Postgres", async {
                Ok(ops::halves(&mut connection).await?)
            })
            .await?;
            if !halves.log {
                return Ok(None);
            }
        }
    }
    let options = tail::Options {
        statement_limit: config.postgres.query_timeout,
        listen: false,
        pooled: !config.postgres.listen,
        ..tail::Options::default()
    };
    Ok(Some((dial(Arc::new(config)), options)))
}

fn dial(config: Arc<Config>) -> Dial {
    Arc::new(move |_| {
        let config = config.clone();
        Box::pin(async move {
            let (client, mut connection) = connect::postgres(&config, Role::Command).await?;
            let messages: Messages =
                Box::pin(stream::poll_fn(move |context| connection.poll_message(context)));
            Ok((client, messages))
        })
    })
}

fn preview_json(request: &Request, preview: &Preview) -> Value {
    let id = |id: Option<EntryId>| id.map(|id| id.to_string());
    let streams = preview.streams.iter().map(|stream| {
        json!({
            "stream": stream.stream,
            "passed_entry": id(stream.passed),
            "on_stream": stream.on_stream,
            "on_stream_exact": !stream.has_more,
            "trimmed": stream.is_trimmed,
            "from_log": stream.in_log,
        })
    });
    json!({
        "consumer": request.group,
        "topic": request.topic,
        "behind": preview.behind.to_string(),
        "new_consumer": preview.is_new,
        "forget_inbox": request.forget,
        "finished": preview.finished,
        "parked_keys": preview.parked_keys,
        "refused": preview.refusal,
        "streams": streams.collect::<Vec<_>>(),
    })
}

fn preview_text(request: &Request, preview: &Preview, has_log: bool) -> String {
    let rows: Vec<Vec<String>> = preview
        .streams
        .iter()
        .map(|stream| row(stream, has_log))
        .collect();
    let streams = table(&["STREAM", "PASSED", "ON STREAM", "FROM POSTGRES"], &rows);
    let finished = preview
        .finished
        .map_or_else(|| "an unknown number".to_owned(), |count| count.to_string());
    let is_new = if preview.is_new {
        " (not known here yet)"
    } else {
        ""
    };
    let effect = match request.forget {
        false => format!("{finished} of these events are in the inbox already and have no second effect\n"),
        true => format!(
            "!! {finished} of these events were applied. --forget-inbox makes the consumer forget that:\n\
             !! THEIR EFFECTS HAPPEN AGAIN, on top of what is there. Empty the tables that the handler fills first,\n\
             !! and mind what it does outside the database.\n"
        ),
    };
    let lost = preview
        .streams
        .iter()
        .any(|stream| stream.is_trimmed && stream.in_log.is_none());
    let lost = match lost {
        true => {
            "events before the beginning of a trimmed stream are not read: its log is not at hand (--log-url)\n"
        }
        false => "",
    };
    format!(
        "consumer {}{is_new} would read topic {} again from behind entry {}\n\n{streams}\n{effect}{lost}",
        request.group, request.topic, preview.behind
    )
}

fn row(stream: &StreamPreview, has_log: bool) -> Vec<String> {
    let more = if stream.has_more { " or more" } else { "" };
    let from_log = match (stream.is_trimmed, stream.in_log) {
        (false, _) => "not needed".to_owned(),
        (true, Some(count)) => format!("about {count}"),
        (true, None) if has_log => "written by another database".to_owned(),
        (true, None) => "no log".to_owned(),
    };
    vec![
        stream.stream.clone(),
        stream
            .passed
            .map_or_else(|| "nothing".to_owned(), |id| id.to_string()),
        format!("{}{more}", stream.on_stream),
        from_log,
    ]
}

fn done_json(done: &Done) -> Value {
    let streams = done.streams.iter().map(|(stream, passed, entries)| {
        json!({ "stream": stream, "passed_entry": passed.to_string(), "from_log": entries })
    });
    json!({ "streams": streams.collect::<Vec<_>>(), "forgotten": done.forgotten })
}

fn done_text(request: &Request, done: &Done) -> String {
    let rows: Vec<Vec<String>> = done
        .streams
        .iter()
        .map(|(stream, passed, entries)| vec![stream.clone(), passed.to_string(), entries.to_string()])
        .collect();
    let forgotten = match request.forget {
        true => format!("{} ids forgotten: their effects happen again\n", done.forgotten),
        false => String::new(),
    };
    format!(
        "consumer {} reads on from here\n\n{}\n{forgotten}",
        request.group,
        table(&["STREAM", "BEHIND", "FROM POSTGRES"], &rows)
    )
}
