//! The configuration: flags, then environment, then files with secrets, then a TOML file, then defaults.
//!
//! Authoritative for every setting's name, meaning and default; flags, variables, keys, `docs/configuration.md` and the
//! output of `outbox-relay config` are made from the same lines. All problems are reported at once. Secrets are typed and
//! are never shown. Deliberately absent: reloading while running (restart; the standby leads meanwhile).

pub mod kind;

pub mod name;

pub mod section;

pub mod reader;

pub mod error;

pub mod postgres;

pub mod redis;

pub mod tail;

pub mod publish;

pub mod maintain;

pub mod http;

pub mod log;

pub mod consume;

pub mod flags;

pub mod document;

pub mod print;

use std::collections::BTreeMap;

pub use self::consume::Consume;
pub use self::error::{Error, Problem};
pub use self::http::Http;
pub use self::log::{Format, Log};
pub use self::maintain::Maintain;
use self::name::Name;
pub use self::postgres::{Postgres, Tls};
pub use self::publish::{Mode, Publish};
use self::reader::Reader;
pub use self::reader::Sources;
pub use self::redis::Redis;
use self::section::{Section, Setting};
pub use self::tail::Tail;

/// What a command cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A URL of Postgres.
    Postgres,
    /// A URL of Redis.
    Redis,
}

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// How Postgres is reached.
    pub postgres: Postgres,
    /// How Redis is reached.
    pub redis: Redis,
    /// How the log is tailed.
    pub tail: Tail,
    /// How events are put on their streams.
    pub publish: Publish,
    /// Upkeep of the log's pieces.
    pub maintain: Maintain,
    /// Health, readiness and metrics.
    pub http: Http,
    /// Logs.
    pub log: Log,
    /// How a consumer applies events.
    pub consume: Consume,
    /// Where each value that is not a default was found, by key.
    pub origins: BTreeMap<String, String>,
    /// What looks like a mistake but may be none; worth a line in the log.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads every setting.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn load(sources: Sources, needs: &[Need]) -> Result<Self, Error> {
        let mut reader = Reader::new(sources);
        let mut config = Self {
            postgres: Postgres::read(&mut reader),
            redis: Redis::read(&mut reader),
            tail: Tail::read(&mut reader),
            publish: Publish::read(&mut reader),
            maintain: Maintain::read(&mut reader),
            http: Http::read(&mut reader),
            log: Log::read(&mut reader),
            consume: Consume::read(&mut reader),
            origins: BTreeMap::new(),
            warnings: Vec::new(),
        };
        Self::refuse_missing(needs, &mut reader);
        config.refuse_contradictions(&mut reader);
        let (problems, origins, warnings) = reader.finish();
        if !problems.is_empty() {
            return Err(Error(problems));
        }
        config.origins = origins;
        config.warnings = warnings;
        Ok(config)
    }

    fn refuse_missing(needs: &[Need], reader: &mut Reader) {
        let urls = [(Need::Postgres, "postgres"), (Need::Redis, "redis")];
        for (need, section) in urls {
            let name = Name {
                section,
                field: "url",
                secret: true,
            };
            // A value that was refused is not missing too.
            if needs.contains(&need) && !reader.is_set(name) {
                let flag = name.flag().unwrap_or_default();
                let what = format!(
                    "is not set, nor is --{flag}, {}_FILE or {} in the file; this command needs it",
                    name.variable(),
                    name.key()
                );
                reader.refuse(name.variable(), what);
            }
        }
    }

    fn refuse_contradictions(&self, reader: &mut Reader) {
        let pairs = [
            (
                "tail",
                "poll_min",
                "poll_max",
                self.tail.poll_min,
                self.tail.poll_max,
            ),
            (
                "publish",
                "backoff_min",
                "backoff_max",
                self.publish.backoff_min,
                self.publish.backoff_max,
            ),
            (
                "consume",
                "backoff_min",
                "backoff_max",
                self.consume.backoff_min,
                self.consume.backoff_max,
            ),
        ];
        for (section, low, high, least, most) in pairs {
            if least > most {
                let origin = reader.origin(Name {
                    section,
                    field: low,
                    secret: false,
                });
                let (least, most) = (kind::span(least), kind::span(most));
                reader.refuse(
                    origin,
                    format!("{section}.{low} ({least}) must not be longer than {section}.{high} ({most})"),
                );
            }
        }
        if self.postgres.tls == Some(Tls::Disable) && self.postgres.tls_root_cert.is_some() {
            let origin = reader.origin(Name {
                section: "postgres",
                field: "tls_root_cert",
                secret: false,
            });
            reader.refuse(
                origin,
                "has no effect with postgres.tls = disable; leave out one of them",
            );
        }
    }

    /// Every section with its name, its documentation and its settings.
    #[must_use]
    pub fn sections() -> Vec<(&'static str, String, Vec<Setting>)> {
        fn of<S: Section>() -> (&'static str, String, Vec<Setting>) {
            (S::NAME, S::doc(), S::settings())
        }
        vec![
            of::<Postgres>(),
            of::<Redis>(),
            of::<Tail>(),
            of::<Publish>(),
            of::<Maintain>(),
            of::<Http>(),
            of::<Log>(),
            of::<Consume>(),
        ]
    }

    /// The values in the order of [`Config::sections`]; nothing for what is absent or secret.
    #[must_use]
    pub fn shown(&self) -> Vec<Option<String>> {
        let sections = [
            self.postgres.shown(),
            self.redis.shown(),
            self.tail.shown(),
            self.publish.shown(),
            self.maintain.shown(),
            self.http.shown(),
            self.log.shown(),
            self.consume.shown(),
        ];
        sections.concat()
    }
}

#[cfg(test)]
mod tests;
