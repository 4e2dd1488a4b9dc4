//! What can be asked for on the command line.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Parser, ValueEnum};

use super::Error;
use super::mapping::{Kinds, Mapping, Value};
use super::selector::Selector;

/// Imports NDJSON or CSV into the outbox: each record becomes an event, in batches of one transaction.
///
/// FIELD is a CSV column, a member of the JSON object, or a JSON pointer such as /payload/repository/id.
/// A run that was ended, however it was ended, is started again with the same options and adds only what is missing.
#[derive(Clone, Debug, Parser)]
#[command(name = "import", version)]
#[command(group(ArgGroup::new("topics").required(true).args(["topic", "topic_from"])))]
#[command(
    after_help = "Exit codes: 0 all imported, 1 error or bad line, 2 usage, 4 refused (another file or mapping than \
                        the import was begun with, or it runs twice), 5 some lines were skipped"
)]
pub struct Arguments {
    /// File to read; `-` is standard input. What is packed with gzip is unpacked
    #[arg(default_value = "-")]
    pub file: PathBuf,

    /// The database with the outbox
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,

    /// Default: by the ending of the file, .csv or .ndjson, .jsonl, .json, with or without .gz
    #[arg(long)]
    pub format: Option<Format>,

    /// What this import is called in outbox_import.progress. Default: the file's full path
    #[arg(long)]
    pub name: Option<String>,

    /// Topic of all events
    #[arg(long)]
    pub topic: Option<String>,

    /// Topic of each event
    #[arg(long, value_name = "FIELD")]
    pub topic_from: Option<String>,

    /// Type of all events. Default: the topic
    #[arg(long = "type", value_name = "TYPE", conflicts_with_all = ["type_from", "event"])]
    pub event_type: Option<String>,

    /// Type of each event
    #[arg(long, value_name = "FIELD", conflicts_with = "event")]
    pub type_from: Option<String>,

    /// An event of TYPE from each record whose FIELD is not empty. Repeat it: the events of a record come in this order
    #[arg(long, value_name = "TYPE[=FIELD]")]
    pub event: Vec<String>,

    /// Key of all events
    #[arg(long, conflicts_with = "key_from")]
    pub key: Option<String>,

    /// Key of each event; a record without it is bad
    #[arg(long, value_name = "FIELD")]
    pub key_from: Option<String>,

    /// Id of each event, a UUID; a record without it is bad. Default: a new one
    #[arg(long, value_name = "FIELD", conflicts_with = "event")]
    pub id_from: Option<String>,

    /// The payload, byte for byte; a CSV column must hold JSON. Default: the line, or the row as a JSON object
    #[arg(long, value_name = "FIELD")]
    pub data_from: Option<String>,

    /// CloudEvents source of all events. Default: the database's
    #[arg(long)]
    pub source: Option<String>,

    /// Records of one transaction
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub batch: u32,

    /// What to do with records that cannot be events
    #[arg(long, value_enum, default_value_t = BadLines::Fatal)]
    pub bad_lines: BadLines,
}

/// What the lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON value a line.
    #[value(alias = "jsonl")]
    Ndjson,
    /// Rows under a header.
    Csv,
}

/// What to do with a bad line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BadLines {
    /// Import what is before it and end.
    Fatal,
    /// Report and skip it.
    Skip,
}

/// The options, checked and put together.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) file: Option<PathBuf>,
    pub(super) format: Format,
    pub(super) name: String,
    pub(super) mapping: Mapping,
    pub(super) batch: usize,
    pub(super) bad_lines: BadLines,
}

impl Arguments {
    pub(super) fn plan(&self) -> Result<Plan, Error> {
        let mut problems = Vec::new();
        let file = (self.file != Path::new("-")).then(|| self.file.clone());
        let format = self.format.or_else(|| format_of(file.as_deref()?));
        if format.is_none() {
            problems.push(
                "--format: must be ndjson or csv, since the name of the input does not tell".to_owned(),
            );
        }
        let name = self
            .name
            .clone()
            .or_else(|| Some(std::path::absolute(file.as_deref()?).ok()?.display().to_string()));
        if name.as_deref().is_none_or(str::is_empty) {
            problems
                .push("--name: must be given for standard input, so that a second run is known".to_owned());
        }
        let mapping = self.mapping(&mut problems);
        if format == Some(Format::Csv) {
            for selector in mapping.selectors().filter(|selector| selector.depth() != 1) {
                problems.push(format!("{selector}: a CSV file has columns, not nested members"));
            }
        }
        match (format, name) {
            (Some(format), Some(name)) if problems.is_empty() => Ok(Plan {
                file,
                format,
                name,
                mapping,
                batch: self.batch as usize,
                bad_lines: self.bad_lines,
            }),
            _ => Err(Error::Usage(problems)),
        }
    }

    fn mapping(&self, problems: &mut Vec<String>) -> Mapping {
        let mut selector = |text: &Option<String>| {
            let text = text.as_deref()?;
            text.parse::<Selector>()
                .map_err(|problem| problems.push(problem))
                .ok()
        };
        let value = |constant: &Option<String>, selector: Option<Selector>| {
            selector
                .map(Value::From)
                .or_else(|| constant.clone().map(Value::Constant))
        };
        let topic_from = selector(&self.topic_from);
        let type_from = selector(&self.type_from);
        let key_from = selector(&self.key_from);
        let each: Vec<_> = self
            .event
            .iter()
            .map(|event| match event.split_once('=') {
                Some((kind, field)) => (kind.to_owned(), selector(&Some(field.to_owned()))),
                None => (event.clone(), None),
            })
            .collect();
        Mapping {
            topic: value(&self.topic, topic_from).unwrap_or(Value::Constant(String::new())),
            kinds: if each.is_empty() {
                Kinds::One(value(&self.event_type, type_from))
            } else {
                Kinds::Each(each)
            },
            key: value(&self.key, key_from),
            id: selector(&self.id_from),
            data: selector(&self.data_from),
            source: self.source.clone(),
        }
    }
}

fn format_of(file: &Path) -> Option<Format> {
    let name = file.file_name()?.to_str()?.to_ascii_lowercase();
    match name.strip_suffix(".gz").unwrap_or(&name).rsplit_once('.')?.1 {
        "csv" => Some(Format::Csv),
        "ndjson" | "jsonl" | "json" => Some(Format::Ndjson),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(arguments: &[&str]) -> Result<Plan, Error> {
        let fixed = ["import", "--database-url", "postgres://nowhere/none"];
        Arguments::try_parse_from(fixed.iter().chain(arguments))
            .expect("parses")
            .plan()
    }

    #[test]
    fn the_format_is_told_by_the_ending() {
        for (file, format) in [
            ("a.csv", Format::Csv),
            ("a.CSV.gz", Format::Csv),
            ("a.b.ndjson.gz", Format::Ndjson),
        ] {
            assert_eq!(
                plan(&[file, "--topic", "t"]).expect("a plan").format,
                format,
                "{file}"
            );
        }
    }

    #[test]
    fn standard_input_needs_format_and_name_and_both_are_said_at_once() {
        let Err(Error::Usage(problems)) = plan(&["--topic", "t"]) else {
            panic!("must be refused")
        };
        assert_eq!(problems.len(), 2, "{problems:?}");
    }

    #[test]
    fn nested_members_of_a_csv_are_refused() {
        let Err(Error::Usage(problems)) = plan(&["a.csv", "--topic", "t", "--key-from", "/a/b"]) else {
            panic!("must be refused")
        };
        assert!(problems[0].contains("/a/b"), "{problems:?}");
    }
}
