//! What is embedded: the two sets and their steps. A file that has been released never changes again.

use std::borrow::Cow;
use std::sync::OnceLock;

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// A set of migrations with a record of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Set {
    /// What a service that appends and its relay need.
    Log,
    /// What a consumer needs.
    Inbox,
}

/// One file of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its place in the set, from 1 on.
    pub version: i64,
    /// What it is about, as in its file name.
    pub name: &'static str,
    pub(crate) sql: &'static str,
}

macro_rules! steps {
    ($folder:literal: $($version:literal $number:literal $name:literal),+ $(,)?) => {
        &[$(Step {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../sql/", $folder, "/", $number, "_", $name, ".sql")),
        }),+]
    };
}

const LOG: &[Step] = steps!(
    "log":
    1 "0001" "ground", 2 "0002" "log", 3 "0003" "ledger", 4 "0004" "append", 5 "0005" "ops_views",
    6 "0006" "partitions", 7 "0007" "trim", 8 "0008" "reissue", 9 "0009" "trace", 10 "0010" "repair",
    11 "0011" "era", 12 "0012" "grants", 13 "0013" "causes", 14 "0014" "refused",
    15 "0015" "repaired", 16 "0016" "recovering", 17 "0017" "streams", 18 "0018" "subscriptions",
    19 "0019" "snapshots", 20 "0020" "keeping", 21 "0021" "subjects", 22 "0022" "projections",
    23 "0023" "seen", 24 "0024" "reads", 25 "0025" "removed", 26 "0026" "withheld",
    27 "0027" "buried", 28 "0028" "masters", 29 "0029" "tags", 30 "0030" "boundary", 31 "0031" "swift", 32 "0032" "lean",
    33 "0033" "plain", 34 "0034" "rare", 35 "0035" "held",
    36 "0036" "looked", 37 "0037" "columns", 38 "0038" "untagged", 39 "0039" "outgoing",
    40 "0040" "alike", 41 "0041" "terse", 42 "0042" "bell",
    43 "0043" "below",
    44 "0044" "settled", 45 "0045" "direct"
);

const INBOX: &[Step] = steps!(
    "inbox":
    1 "0001" "inbox", 2 "0002" "inbox_views", 3 "0003" "parking", 4 "0004" "redrive", 5 "0005" "window",
    6 "0006" "operate", 7 "0007" "trace", 8 "0008" "holes", 9 "0009" "give_back", 10 "0010" "grants",
    11 "0011" "same_day", 12 "0012" "days"
);

/// The version of the log that this binary makes and needs.
pub const LOG_VERSION: i64 = LOG[LOG.len() - 1].version;

/// The version of the inbox that this binary makes and needs.
pub const INBOX_VERSION: i64 = INBOX[INBOX.len() - 1].version;

impl Set {
    /// Its steps in order.
    #[must_use]
    pub fn steps(self) -> &'static [Step] {
        match self {
            Self::Log => LOG,
            Self::Inbox => INBOX,
        }
    }

    /// The newest version this binary knows.
    #[must_use]
    pub fn version(self) -> i64 {
        match self {
            Self::Log => LOG_VERSION,
            Self::Inbox => INBOX_VERSION,
        }
    }

    /// A word for messages and JSON: `log` or `inbox`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Inbox => "inbox",
        }
    }

    /// The table that records what was applied.
    #[must_use]
    pub fn record_table(self) -> &'static str {
        match self {
            Self::Log => "outbox.log_migration",
            Self::Inbox => "outbox.inbox_migration",
        }
    }

    /// Made once: their checksums are of all that is embedded, and are asked for with every step.
    pub(crate) fn migrations(self) -> &'static [Migration] {
        static OF_LOG: OnceLock<Vec<Migration>> = OnceLock::new();
        static OF_INBOX: OnceLock<Vec<Migration>> = OnceLock::new();
        let made = match self {
            Self::Log => &OF_LOG,
            Self::Inbox => &OF_INBOX,
        };
        made.get_or_init(|| {
            let steps = self.steps().iter();
            steps
                .map(|step| {
                    Migration::new(
                        step.version,
                        Cow::Borrowed(step.name),
                        MigrationType::Simple,
                        SqlStr::from_static(step.sql),
                        false,
                    )
                })
                .collect()
        })
    }

    pub(crate) fn migrator(self) -> Migrator {
        let mut migrator = Migrator::with_migrations(self.migrations().to_vec());
        migrator.dangerous_set_table_name(self.record_table());
        // Our own lock is held by then; sqlx's belongs to the session and stays behind after an error.
        migrator.set_locking(false);
        migrator
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_embedded_once_and_in_order() {
        for set in [Set::Log, Set::Inbox] {
            let folder = format!("{}/sql/{}", env!("CARGO_MANIFEST_DIR"), set.word());
            let mut files: Vec<String> = std::fs::read_dir(&folder)
                .expect("the folder of the set exists")
                .map(|entry| {
                    entry
                        .expect("the entry is readable")
                        .file_name()
                        .into_string()
                        .expect("a plain name")
                })
                .collect();
            files.sort();
            let embedded: Vec<String> = set
                .steps()
                .iter()
                .map(|step| format!("{:04}_{}.sql", step.version, step.name))
                .collect();
            assert_eq!(files, embedded, "sql/{} and set.rs differ", set.word());
            let numbers: Vec<i64> = set.steps().iter().map(|step| step.version).collect();
            assert_eq!(numbers, (1..=set.version()).collect::<Vec<_>>());
        }
    }
}
