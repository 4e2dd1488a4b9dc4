//! The keys that say how many partitions topics have: read, and set where they are missing or were continued.

use redis::{Pipeline, ServerError, Value};

use super::connection::Connection;
use super::reply::{self, Refusal};
use super::value::text;
use crate::publish::sink::{Announcing, announcing};
use crate::publish::{Announced, Error, Kind};

impl Connection {
    /// In two steps, since nothing here may run a script: what is newer is not written over by a relay that lost the lead long ago.
    pub(super) async fn set_layouts(&self, layouts: &[(String, String)]) -> Result<Vec<Announced>, Error> {
        let mut ask = Pipeline::new();
        for (key, _) in layouts {
            ask.cmd("GET").arg(key);
        }
        let found = self.send(&ask).await?;
        let mut set = Pipeline::new();
        let mut known = Vec::with_capacity(layouts.len());
        for ((key, layout), found) in layouts.iter().zip(&found) {
            let answer = compare(key, layout, found)?;
            if answer.is_none() {
                set.cmd("SET").arg(key).arg(layout);
            }
            known.push(answer);
        }
        let taken = match set.is_empty() {
            true => Vec::new(),
            false => self.send(&set).await?,
        };
        let mut taken = taken.into_iter();
        known
            .into_iter()
            .map(|known| match known {
                Some(known) => Ok(known),
                None => settled(taken.next()),
            })
            .collect()
    }
}

/// A layout that may be there.
pub(super) fn read_layout(found: &Value) -> Result<Option<String>, Error> {
    match found {
        // Of another type, or not ours to read: whoever sets it is told.
        Value::ServerError(error) => refused(error).map(|_| None),
        Value::Nil => Ok(None),
        other => Ok(text(other)),
    }
}

/// What is there already says; none if the layout is to be set.
fn compare(key: &str, layout: &str, found: &Value) -> Result<Option<Announced>, Error> {
    let found = match found {
        Value::Nil => None,
        Value::ServerError(error) => {
            let why = refused(error)?;
            return Ok(Some(Announced::Refused(format!("{key}: {why}"))));
        }
        other => Some(text(other).unwrap_or_default()),
    };
    Ok(match announcing(found.as_deref(), Some(layout)) {
        Announcing::Set => None,
        Announcing::Nothing => Some(Announced::Known),
        Announcing::Newer => Some(Announced::Refused(format!(
            "{key} tells of more partitions than this ledger: another relay leads, or this database went back in time"
        ))),
        Announcing::Other => Some(Announced::Refused(format!(
            "{key} does not say what this ledger says ({layout}): another database publishes the topic, or somebody wrote the \
             key; set outbox.settings.writer in one of them, or remove the key, and the relay goes on by itself"
        ))),
    })
}

fn settled(taken: Option<Value>) -> Result<Announced, Error> {
    match taken {
        Some(Value::ServerError(error)) => refused(&error).map(Announced::Refused),
        Some(_) => Ok(Announced::Known),
        None => Err(Error::new(Kind::SinkDown, "Redis gave no answer about a layout")),
    }
}

/// Why one key refuses; an error if it is the whole server.
fn refused(error: &ServerError) -> Result<String, Error> {
    match reply::read(error) {
        Refusal::Stream(why) => Ok(why),
        Refusal::Unfit(why) => Err(Error::new(Kind::SinkUnfit, why)),
        refusal => Err(Error::new(Kind::SinkDown, format!("{refusal:?}"))),
    }
}
