//! Finds the value of each setting: flags, then environment, then files named by either, then the TOML file, then the
//! default. Collects what is wrong instead of stopping at it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::error::Problem;
use super::kind::Kind;
use super::name::Name;

/// No secret is longer; a wrong path may name something huge.
const SECRET_FILE_LIMIT_BYTES: u64 = 64 * 1024;
/// Nor has anybody that many settings.
const FILE_LIMIT_BYTES: u64 = 1024 * 1024;

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Flags given, by name without dashes.
    pub flags: BTreeMap<String, String>,
    /// The environment.
    pub variables: BTreeMap<String, String>,
    /// The TOML file, if one is named.
    pub file: Option<PathBuf>,
}

/// Reads settings and remembers where each came from.
pub struct Reader {
    sources: Sources,
    table: toml::Table,
    known: BTreeSet<String>,
    origins: BTreeMap<String, String>,
    problems: Vec<Problem>,
}

/// Text of a value and where it was found.
struct Found {
    text: String,
    origin: String,
}

impl Reader {
    /// Opens the sources. A file that cannot be read or parsed is the first problem.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        let mut problems = Vec::new();
        let table = match sources.file.as_deref().map(|path| (path, read_table(path))) {
            None => toml::Table::new(),
            Some((_, Ok(table))) => table,
            Some((path, Err(what))) => {
                problems.push(Problem {
                    origin: path.display().to_string(),
                    what,
                });
                toml::Table::new()
            }
        };
        Self {
            sources,
            table,
            known: BTreeSet::new(),
            origins: BTreeMap::new(),
            problems,
        }
    }

    /// The value of a setting, or its default when it is not set or cannot be read (which is then a problem).
    pub fn value<K: Kind>(&mut self, name: Name, kind: &K, default: impl FnOnce() -> K::Value) -> K::Value {
        self.known.insert(name.key());
        self.known.extend(name.file_key());
        let Some(found) = self.find(name) else {
            return default();
        };
        self.origins.insert(name.key(), found.origin.clone());
        kind.read(&found.text).unwrap_or_else(|| {
            let seen = match name.secret {
                true => "what is set is something else (it is not shown)".to_owned(),
                false => format!("got {:?}", shortened(&found.text)),
            };
            self.refuse(found.origin, format!("must be {}, {seen}", kind.expects()));
            default()
        })
    }

    /// Adds a problem found by whoever knows what belongs together.
    pub fn refuse(&mut self, origin: impl Into<String>, what: impl Into<String>) {
        self.problems.push(Problem {
            origin: origin.into(),
            what: what.into(),
        });
    }

    /// Whether anybody tried to set it, even to something that was refused.
    #[must_use]
    pub fn is_set(&self, name: Name) -> bool {
        self.origins.contains_key(&name.key())
    }

    /// Where the value of a key was found; for the default, the name of the flag or variable that would set it.
    #[must_use]
    pub fn origin(&self, name: Name) -> String {
        let unset = || {
            name.flag()
                .map_or_else(|| name.variable(), |flag| format!("--{flag}"))
        };
        self.origins.get(&name.key()).cloned().unwrap_or_else(unset)
    }

    /// Ends reading: what is wrong, where each value came from, and what looks like a mistake but may be none.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Problem>, BTreeMap<String, String>, Vec<String>) {
        self.refuse_unknown_keys();
        let warnings = self.unknown_variables();
        (self.problems, self.origins, warnings)
    }

    fn find(&mut self, name: Name) -> Option<Found> {
        let flag = name.flag().and_then(|flag| self.flag(&flag));
        let found = flag.or_else(|| self.variable(&name.variable()));
        let found = found.or_else(|| {
            let named = name.file_flag().and_then(|flag| self.flag(&flag));
            let named =
                named.or_else(|| name.file_variable().and_then(|variable| self.variable(&variable)))?;
            self.contents(name, &named)
        });
        let found = found.or_else(|| self.key(&name.key()));
        found.or_else(|| {
            let named = name.file_key().and_then(|key| self.key(&key))?;
            self.contents(name, &named)
        })
    }

    fn flag(&self, flag: &str) -> Option<Found> {
        let text = self.sources.flags.get(flag)?.clone();
        Some(Found {
            text,
            origin: format!("--{flag}"),
        })
    }

    /// An empty variable counts as not set: that is how deployments leave one out.
    fn variable(&self, variable: &str) -> Option<Found> {
        let text = self
            .sources
            .variables
            .get(variable)
            .filter(|text| !text.is_empty())?
            .clone();
        Some(Found {
            text,
            origin: variable.to_owned(),
        })
    }

    fn key(&mut self, key: &str) -> Option<Found> {
        let (section, field) = key.split_once('.')?;
        let value = self.table.get(section)?.as_table()?.get(field)?;
        let origin = self.in_file(key);
        match value {
            toml::Value::String(text) => Some(Found {
                text: text.clone(),
                origin,
            }),
            toml::Value::Integer(number) => Some(Found {
                text: number.to_string(),
                origin,
            }),
            toml::Value::Boolean(switch) => Some(Found {
                text: switch.to_string(),
                origin,
            }),
            other => {
                let what = format!(
                    "must be a string, a whole number or a boolean, got a TOML {}",
                    other.type_str()
                );
                self.refuse(origin, what);
                None
            }
        }
    }

    /// The value of a secret from the file that a setting names, without the newline at its end.
    fn contents(&mut self, name: Name, named: &Found) -> Option<Found> {
        let origin = format!("{} ({})", named.origin, named.text);
        self.origins.insert(name.key(), origin.clone());
        match read_secret(Path::new(&named.text)) {
            Ok(text) => Some(Found { text, origin }),
            Err(what) => {
                self.refuse(origin, what);
                None
            }
        }
    }

    fn in_file(&self, key: &str) -> String {
        let path = self.sources.file.as_deref().unwrap_or(Path::new("file"));
        format!("{}: {key}", path.display())
    }

    fn refuse_unknown_keys(&mut self) {
        let mut unknown = Vec::new();
        for (section, value) in &self.table {
            match value.as_table() {
                None => unknown.push(section.clone()),
                Some(table) => unknown.extend(table.keys().map(|field| format!("{section}.{field}"))),
            }
        }
        unknown.retain(|key| !self.known.contains(key));
        for key in unknown {
            let hint = nearest(&key, self.known.iter().map(String::as_str))
                .map(|near| format!("; did you mean {near}?"));
            let origin = self.in_file(&key);
            self.refuse(
                origin,
                format!("there is no such setting{}", hint.unwrap_or_default()),
            );
        }
    }

    /// Orchestrators add variables of their own (a service named `outbox-tail` gives `OUTBOX_TAIL_PORT`), so an unknown
    /// one is worth a warning, not a refusal.
    fn unknown_variables(&self) -> Vec<String> {
        let known: BTreeSet<String> = self.known.iter().map(|key| variable_of(key)).collect();
        let ours = |name: &&String| {
            name.starts_with("OUTBOX_") && name.as_str() != "OUTBOX_CONFIG" && !known.contains(*name)
        };
        let hint = |name: &String| {
            let near = nearest(name, known.iter().map(String::as_str))?;
            Some(format!("{name} is set but is no setting; did you mean {near}?"))
        };
        self.sources
            .variables
            .keys()
            .filter(ours)
            .filter_map(hint)
            .collect()
    }
}

fn variable_of(key: &str) -> String {
    format!("OUTBOX_{}", key.replace('.', "_").to_uppercase())
}

fn read_table(path: &Path) -> Result<toml::Table, String> {
    let text = read_bounded(path, FILE_LIMIT_BYTES, "a configuration")?;
    // The parser's own message quotes the line, which may hold a secret: only its place and sentence are passed on.
    text.parse::<toml::Table>().map_err(|error| {
        let line = error.span().map_or(0, |span| {
            text[..span.start.min(text.len())].lines().count().max(1)
        });
        format!("is not TOML: {}, near line {line}", error.message())
    })
}

fn read_secret(path: &Path) -> Result<String, String> {
    let text = read_bounded(path, SECRET_FILE_LIMIT_BYTES, "a secret")?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// A pipe or a device says that it is empty, and may never end: what counts is what comes.
fn read_bounded(path: &Path, limit: u64, what: &str) -> Result<String, String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_string(&mut text))
        .map_err(|error| format!("cannot be read: {error}"))?;
    if text.len() as u64 > limit {
        return Err(format!(
            "has more than {limit} bytes; {what} has at most that many"
        ));
    }
    Ok(text)
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

fn nearest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = words.map(|candidate| (strsim::normalized_damerau_levenshtein(word, candidate), candidate));
    scored
        .filter(|(score, _)| *score >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
