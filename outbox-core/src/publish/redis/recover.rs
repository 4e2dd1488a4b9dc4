//! What a recovery reads and changes on streams: entries from the end, groups, marks; entries are taken off by id.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use redis::{Pipeline, Value};

use super::streams::{Streams, unclear};
use super::{mark, search, value};
use crate::event::{EntryId, envelope};
use crate::publish::sink::Announcing;
use crate::publish::trim::Reader;
use crate::publish::{Error, Kind, Mark, Marked, sink};

/// Entries that are read at once, and about how many bytes of them.
const PAGE: (u64, u64) = (500, 8 << 20);

/// An entry, whole.
#[derive(Clone, Debug)]
pub(in crate::publish) struct Whole {
    pub(in crate::publish) id: EntryId,
    /// The event, if it is one, and whether it names a predecessor: otherwise it is not a relay's.
    pub(in crate::publish) event_id: Option<String>,
    pub(in crate::publish) is_chained: bool,
    pub(in crate::publish) fields: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What stands at a stream's end, beside it, and who reads it.
#[derive(Clone, Debug)]
pub(in crate::publish) struct Outside {
    pub(in crate::publish) marked: Marked,
    pub(in crate::publish) top: Option<EntryId>,
    /// The highest id that it ever had.
    pub(in crate::publish) generated: Option<EntryId>,
    pub(in crate::publish) readers: Vec<Reader>,
    /// How many entries fit a page.
    pub(in crate::publish) page: u64,
}

impl Streams {
    /// Looks at a stream from outside.
    pub(in crate::publish) async fn outside(&self, stream: &str, mark: &str) -> Result<Outside, Error> {
        let looked = self.look(&[(stream.to_owned(), mark.to_owned())]).await?;
        let (marked, seen) = match looked.into_iter().next() {
            Some(Ok(looked)) => looked,
            Some(Err(why)) => (Marked::Unreadable(why), crate::publish::trim::Seen::default()),
            None => return Err(unclear("looking at a stream")),
        };
        let mut ask = Pipeline::new();
        ask.cmd("XINFO").arg("STREAM").arg(stream);
        ask.cmd("XREVRANGE").arg(stream).arg(&["+", "-", "COUNT", "1"]);
        ask.cmd("XINFO").arg("GROUPS").arg(stream);
        ask.cmd("MEMORY").arg("USAGE").arg(stream);
        let answers = self.send(&ask).await?;
        let [about, last, groups, memory] = answers.as_slice() else {
            return Err(unclear("looking at a stream"));
        };
        let length = number(about, "length").unwrap_or(0);
        let bytes = match memory {
            Value::Int(bytes) => u64::try_from(*bytes).unwrap_or(0),
            _ => 0,
        };
        let mean = (bytes / length.max(1)).max(1);
        let readers = match groups {
            Value::Array(groups) if seen.readers.is_empty() => {
                groups.iter().filter_map(super::streams::reader).collect()
            }
            _ => seen.readers,
        };
        Ok(Outside {
            marked,
            top: match last {
                Value::Array(entries) => entries.first().and_then(value::entry_id),
                _ => None,
            },
            generated: value::named(about, "last-generated-id")
                .and_then(value::id)
                .filter(|id| *id > EntryId::MIN),
            readers,
            page: (PAGE.1 / mean).clamp(1, PAGE.0),
        })
    }

    /// The entries below one, highest first; none: from the end.
    pub(in crate::publish) async fn below(
        &self,
        stream: &str,
        below: Option<EntryId>,
        count: u64,
    ) -> Result<Vec<Whole>, Error> {
        let from = below.map_or_else(|| "+".to_owned(), |id| format!("({id}"));
        let mut command = redis::cmd("XREVRANGE");
        command.arg(stream).arg(from).arg("-").arg("COUNT").arg(count);
        match self.one("reading a stream from its end", &command).await? {
            Value::Array(entries) => Ok(entries.into_iter().filter_map(whole).collect()),
            _ => Err(unclear("reading a stream from its end")),
        }
    }

    /// Whether a stream has this entry.
    pub(in crate::publish) async fn has(&self, stream: &str, id: EntryId) -> Result<bool, Error> {
        let mut command = redis::cmd("XRANGE");
        command.arg(stream).arg(id.to_string()).arg(id.to_string());
        match self.one("looking for an entry", &command).await? {
            Value::Array(entries) => Ok(!entries.is_empty()),
            _ => Err(unclear("looking for an entry")),
        }
    }

    /// Takes these entries off. What is gone already stays gone.
    pub(in crate::publish) async fn take_off(&self, stream: &str, ids: &[EntryId]) -> Result<(), Error> {
        let mut command = redis::cmd("XDEL");
        command.arg(stream);
        for id in ids {
            command.arg(id.to_string());
        }
        self.count("taking entries off a stream", &command)
            .await
            .map(drop)
    }

    /// Moves a mark. One that says the same or more is left.
    pub(in crate::publish) async fn move_mark(&self, key: &str, mark: &Mark) -> Result<(), Error> {
        let mut ask = Pipeline::new();
        mark::mark_command(&mut ask, key, mark);
        match self.send(&ask).await?.into_iter().next() {
            Some(Value::ServerError(error)) => match super::reply::read(&error) {
                super::reply::Refusal::IdTaken => Ok(()),
                refusal => Err(Error::new(Kind::SinkDown, format!("{key}: {refusal:?}"))),
            },
            _ => Ok(()),
        }
    }

    /// What marks with these keys say.
    pub(in crate::publish) async fn marks(&self, keys: &[String]) -> Result<Vec<Marked>, Error> {
        let mut ask = Pipeline::new();
        for key in keys {
            ask.cmd("XREVRANGE").arg(key).arg(&["+", "-", "COUNT", "1"]);
        }
        let found = self.send(&ask).await?;
        keys.iter()
            .zip(&found)
            .map(|(key, found)| mark::read_mark(found, key))
            .collect()
    }

    /// Which of these layouts are more at the sink than this ledger laid, with what is there; without one the topic has one stream.
    pub(in crate::publish) async fn layouts_ahead(
        &self,
        layouts: &[(String, Option<String>)],
    ) -> Result<Vec<(String, String)>, Error> {
        if layouts.is_empty() {
            return Ok(Vec::new());
        }
        let mut ask = Pipeline::new();
        for (key, _) in layouts {
            ask.cmd("GET").arg(key);
        }
        let found = self.send(&ask).await?;
        let is_ahead = |ours: Option<&str>, found: &str| {
            match sink::announcing(Some(found), ours) {
                Announcing::Newer => true,
                // Where there is none of ours, it is no layout at all.
                Announcing::Other => ours.is_some(),
                Announcing::Nothing | Announcing::Set => false,
            }
        };
        let ahead = layouts
            .iter()
            .zip(&found)
            .filter_map(|((key, ours), found)| Some((key.clone(), ours.as_deref(), value::text(found)?)))
            .filter(|(_, ours, found)| is_ahead(*ours, found));
        Ok(ahead.map(|(key, _, found)| (key, found)).collect())
    }

    /// Every key of this pattern, at most `count`, as far as it can be looked for in `patience`; and whether that was all.
    pub(in crate::publish) async fn search(
        &self,
        pattern: &str,
        count: usize,
        patience: Duration,
    ) -> Result<(Vec<String>, bool), Error> {
        let until = Instant::now() + patience;
        let (mut keys, mut next) = (BTreeSet::new(), Some("0".to_owned()));
        while let Some(cursor) = next.take_if(|_| keys.len() < count && Instant::now() < until) {
            let command = search::command(&cursor, pattern);
            let answer = match self.one("looking for keys", &command).await {
                // Not allowed: then it is said that nothing was looked for.
                Err(error) if error.kind() == Kind::SinkUnfit => return Ok((Vec::new(), false)),
                answer => answer?,
            };
            let (found, more) = search::read(&answer)?;
            keys.extend(found);
            next = more;
        }
        Ok((keys.into_iter().collect(), next.is_none()))
    }
}

fn whole(entry: Value) -> Option<Whole> {
    let Value::Array(parts) = entry else { return None };
    let [id, Value::Array(flat)] = parts.as_slice() else {
        return None;
    };
    let fields: Vec<(Vec<u8>, Vec<u8>)> = flat
        .chunks_exact(2)
        .filter_map(|pair| Some((value::bytes(&pair[0])?, value::bytes(&pair[1])?)))
        .collect();
    let event = envelope::decode_entry(&fields).ok();
    Some(Whole {
        id: value::id(id)?,
        is_chained: event.as_ref().is_some_and(|event| event.previous_id.is_some()),
        event_id: event.map(|event| event.id),
        fields,
    })
}

fn number(answer: &Value, name: &str) -> Option<u64> {
    match value::named(answer, name)? {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}
