//! Who is compared, and how each is started. How each is set up, and why, is said in its folder of `bench/peers`.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use system_tests::{Result, relay};
use tempfile::TempDir;
use uuid::Uuid;

use super::ground::Room;
use super::install::Installed;

/// What somebody uses to get events from Postgres to Redis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// On the page and on the command line.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    settings: &'static [(&'static str, &'static str)],
}

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Poller,
    Debezium,
    Watermill,
    Oagudo,
}

impl Peer {
    /// Ours first.
    pub(crate) const ALL: [Self; 9] = [
        Self::new("ours", Kind::Ours, &[]),
        Self::new("poller", Kind::Poller, &[("ROWS", "500")]),
        Self::new("poller 2,000", Kind::Poller, &[("ROWS", "2000")]),
        Self::new("poller one by one", Kind::Poller, &[("ROWS", "1")]),
        Self::new("debezium tuned", Kind::Debezium, &[("SETTINGS", "tuned")]),
        Self::new("debezium defaults", Kind::Debezium, &[("SETTINGS", "defaults")]),
        Self::new(
            "watermill",
            Kind::Watermill,
            &[("POLL_INTERVAL", "1ms"), ("BATCH", "1000")],
        ),
        Self::new(
            "watermill queue",
            Kind::Watermill,
            &[("POLL_INTERVAL", "1ms"), ("BATCH", "1000"), ("SCHEMA", "queue")],
        ),
        Self::new(
            "oagudo",
            Kind::Oagudo,
            &[
                ("INTERVAL", "1ms"),
                ("READ_BATCH", "1000"),
                ("DELETE_BATCH", "1000"),
            ],
        ),
    ];

    const fn new(name: &'static str, kind: Kind, settings: &'static [(&'static str, &'static str)]) -> Self {
        Self { name, kind, settings }
    }

    /// The stream that its events come to.
    pub(crate) fn stream(&self) -> &'static str {
        match self.kind {
            Kind::Ours => "outbox:peers",
            _ => "peers",
        }
    }

    /// What is in its database before it starts; ours is migrated.
    pub(crate) fn schema(&self) -> Result<Option<String>> {
        self.file("schema.sql")
            .map(|path| Ok(std::fs::read_to_string(path)?))
            .transpose()
    }

    /// The statement of its producers: the key is its first value, and what [`Self::payload`] says the second.
    pub(crate) fn insert(&self) -> Result<String> {
        self.file("insert.sql").map_or_else(
            || Ok("select outbox.append('peers', $2::text::json, key => $1::text)".to_owned()),
            |path| Ok(std::fs::read_to_string(path)?),
        )
    }

    /// The data of an event as its producers write it.
    pub(crate) fn payload(&self, key: &str, data: String) -> String {
        match self.kind {
            Kind::Watermill => serde_json::json!({
                "destination_topic": self.stream(),
                "uuid": Uuid::now_v7().to_string(),
                "payload": STANDARD.encode(data),
                "metadata": {"key": key},
            })
            .to_string(),
            _ => data,
        }
    }

    /// Its process for a room; `folder` is what it keeps between its starts.
    pub(crate) fn command(&self, installed: &Installed, room: &Room, folder: &TempDir) -> Result<Command> {
        let mut command = match self.kind {
            Kind::Ours => {
                let mut command = Command::new(relay::binary()?);
                command.arg("run").env("OUTBOX_HTTP_BIND", "127.0.0.1:0");
                command
            }
            Kind::Debezium => {
                let mut command = installed.debezium()?;
                let config = folder.path().join("config");
                std::fs::create_dir_all(&config)?;
                let settings = self.setting("SETTINGS").unwrap_or("defaults");
                std::fs::copy(
                    of_peers("debezium").join(settings).join(PROPERTIES),
                    config.join(PROPERTIES),
                )?;
                command
                    .env("PEER_PORT", room.postgres_port()?.to_string())
                    .env("PEER_DATABASE", room.database_name())
                    .env("PEER_REDIS", room.redis_address());
                command
            }
            kind => Command::new(installed.program(kind)?),
        };
        command
            .current_dir(folder.path())
            .envs(self.settings.iter().copied())
            .env("DATABASE_URL", room.database_url())
            .env("REDIS_URL", room.redis_url())
            .env("STREAM", self.stream());
        Ok(command)
    }

    fn setting(&self, name: &str) -> Option<&'static str> {
        let found = self.settings.iter().find(|(setting, _)| *setting == name);
        found.map(|(_, value)| *value)
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        let folder = of_peers(self.kind.folder()?);
        Some(match self.setting("SCHEMA") {
            Some(schema) => folder.join(format!("{schema}-{name}")),
            None => folder.join(name),
        })
    }
}

/// Where Debezium Server looks for its settings, in the folder that it is started in.
const PROPERTIES: &str = "application.properties";

impl Kind {
    /// Below `bench/peers`.
    pub(crate) fn folder(self) -> Option<&'static str> {
        match self {
            Self::Ours => None,
            Self::Poller => Some("poller"),
            Self::Debezium => Some("debezium"),
            Self::Watermill => Some("watermill"),
            Self::Oagudo => Some("oagudo"),
        }
    }
}

/// A folder of the sources.
pub(crate) fn of_peers(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../bench/peers")
        .join(name)
}
