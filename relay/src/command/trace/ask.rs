//! Asks each place what it knows of the event. What a place says is noted with it, and why it said nothing.

use outbox_core::event::EntryId;
use outbox_core::ops::trace::{self, Origin, Presence, Remark, Step};
use outbox_core::ops::{self, Halves};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Report;
use crate::command::within;
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::Failure;

impl Report {
    /// Asks the database of `DATABASE_URL` for its log. Returns the writer of its streams if it has one.
    pub(super) async fn ask_log(&mut self, config: &Config) -> Option<Option<String>> {
        let address = connect::address(config);
        let asked = within(config, "the log", async {
            let mut connection = connect::connection(config, Role::Report).await?;
            if !ops::halves(&mut connection).await?.log {
                return Ok(None);
            }
            // The log's ids are UUIDs: another one is not in it.
            let steps = match Uuid::try_parse(&self.event) {
                Ok(id) => trace::log(&mut connection, id, &address).await?,
                Err(_) => Vec::new(),
            };
            Ok(Some((steps, trace::writer(&mut connection).await?)))
        });
        let (found, problem, left_out) = match asked.await {
            Ok(Some(found)) => (Some(found), None, None),
            Ok(None) => (
                None,
                None,
                Some("this database has no log; DATABASE_URL names the one that has"),
            ),
            Err(failure) => (None, Some(failure.message), None),
        };
        self.note("log", address, problem, left_out);
        let (steps, writer) = found?;
        self.steps.extend(steps);
        Some(writer)
    }

    /// Asks a database for what its consumers made of the event. `is_named`: somebody said that it has consumers.
    pub(super) async fn ask_consumers(
        &mut self,
        config: &Config,
        is_named: bool,
        origins: &[Option<Origin>],
    ) {
        let address = connect::address(config);
        let asked = within(config, "the inbox", async {
            let mut connection = connect::connection(config, Role::Report).await?;
            let halves = ops::halves(&mut connection).await?;
            match halves.inbox {
                true => Ok(Some(
                    inbox(&mut connection, &self.event, halves, origins, &address).await?,
                )),
                false if is_named => Err(Failure::error(
                    "it has no inbox; outbox-relay migrate --inbox makes one",
                )),
                false => Ok(None),
            }
        });
        let (steps, problem, left_out) = match asked.await {
            Ok(Some(steps)) => (steps, None, None),
            Ok(None) => (
                Vec::new(),
                None,
                Some("this database has no inbox; --consumer-url names those that have"),
            ),
            Err(failure) => (Vec::new(), Some(failure.message), None),
        };
        self.steps.extend(steps);
        self.note("consumers", address, problem, left_out);
    }

    /// Asks Redis whether the entries are still there, and gives the streams the names they have there.
    pub(super) async fn ask_redis(&mut self, config: &Config, writer: Option<&str>) {
        let of_log = |step: &&mut Step| step.consumer.is_none();
        for step in self.steps.iter_mut().filter(of_log) {
            if let Some(stream) = step.text("stream") {
                let writer = writer.map_or_else(String::new, |writer| format!("@{writer}"));
                let key = format!("{}{stream}{writer}", config.redis.prefix);
                step.detail.insert("stream".to_owned(), Value::from(key));
            }
        }
        let is_published = self.steps.iter().any(|step| step.step == "published");
        if !is_published {
            return;
        }
        if config.redis.url.is_none() {
            let why = "REDIS_URL is not set: whether the entry is still there was not asked";
            return self.note("redis", String::new(), None, Some(why));
        }
        let problem = match look(config, &mut self.steps).await {
            Ok(()) => None,
            Err(failure) => Some(failure.message),
        };
        self.note("redis", String::new(), problem, None);
    }
}

async fn inbox(
    connection: &mut PgConnection,
    event: &str,
    halves: Halves,
    origins: &[Option<Origin>],
    address: &str,
) -> Result<Vec<Step>, Failure> {
    let mut steps: Vec<Step> = Vec::new();
    for origin in origins {
        for step in trace::consumers(connection, event, origin.as_ref(), address).await? {
            // An event that was appended twice under one id is one event here.
            if !steps.contains(&step) {
                steps.push(step);
            }
        }
    }
    if halves.log {
        let caused = trace::caused(connection, event, &steps, address).await?;
        steps.extend(caused);
    }
    if steps.iter().any(|step| step.step == "dead")
        && let Ok(remarks) = trace::remarks(connection, event).await
    {
        // Who may not read the letters sees what happened, and not what was said.
        quote(&mut steps, &remarks);
    }
    Ok(steps)
}

fn quote(steps: &mut [Step], remarks: &[Remark]) {
    for step in steps {
        let at = match step.step.as_str() {
            "failed" => step.at,
            "dead" => None,
            _ => continue,
        };
        let said = remarks
            .iter()
            .find(|remark| Some(&remark.consumer) == step.consumer.as_ref() && remark.at == at);
        if let Some(said) = said {
            step.detail
                .insert("error".to_owned(), Value::from(said.error.as_str()));
        }
    }
}

async fn look(config: &Config, steps: &mut [Step]) -> Result<(), Failure> {
    let mut connection = connect::redis_connection(config).await?;
    for step in steps.iter_mut().filter(|step| step.step == "published") {
        let entry = step.text("entry_id").and_then(|id| id.parse::<EntryId>().ok());
        if let (Some(stream), Some(entry)) = (step.text("stream"), entry) {
            let seen = trace::presence(&mut connection, stream, entry).await?;
            // A stream that was trimmed to its end does not show it.
            let presence = match seen {
                Presence::Missing if step.detail.get("below_floor") == Some(&Value::Bool(true)) => {
                    Presence::Trimmed
                }
                seen => seen,
            };
            step.detail.insert(
                "presence".to_owned(),
                serde_json::to_value(presence).unwrap_or_default(),
            );
        }
    }
    Ok(())
}
