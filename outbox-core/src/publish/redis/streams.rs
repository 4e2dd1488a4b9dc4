//! Looking after streams on a connection of its own: how long they are, who reads them, taking entries off, and what groups
//! ask for. Nothing here adds an entry.

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, Value};

use super::reply::{self, Refusal};
use super::{mark, value};
use crate::event::{EntryId, envelope};
use crate::publish::repair::Stretch;
use crate::publish::trim::{Reader, Seen};
use crate::publish::{Error, Kind, Marked};

/// Entries that one command takes off, and nodes of the stream that it reads for that.
const STEP: usize = 1_000;
/// Entries that are looked at for one of the chain: strangers write to streams as well.
const LOOKED_AT: usize = 10;
/// Fields of the hash of holes that one command reads.
const SCAN: usize = 200;
/// Fields of it that are read at all: one per stream and group that misses something.
const FIELDS_AT_MOST: usize = 10_000;

/// A connection for looking after streams.
pub(in crate::publish) struct Streams {
    redis: MultiplexedConnection,
}

/// What was seen of one stream; an error where the sink does not let this stream be looked at.
pub(in crate::publish) type Look = Result<(Marked, Seen), String>;

impl Streams {
    pub(super) fn new(redis: MultiplexedConnection) -> Self {
        Self { redis }
    }

    /// What stands under each stream's key, with its mark: `(stream, mark)`.
    pub(in crate::publish) async fn look(&self, keys: &[(String, String)]) -> Result<Vec<Look>, Error> {
        const QUESTIONS: usize = 5;
        let mut ask = Pipeline::new();
        for (stream, mark) in keys {
            ask.cmd("XREVRANGE").arg(mark).arg(&["+", "-", "COUNT", "1"]);
            ask.cmd("XLEN").arg(stream);
            ask.cmd("XRANGE").arg(stream).arg(&["-", "+", "COUNT", "1"]);
            ask.cmd("XINFO").arg("GROUPS").arg(stream);
            ask.cmd("MEMORY").arg("USAGE").arg(stream);
        }
        let answers = self.send(&ask).await?;
        let mut looks = Vec::with_capacity(keys.len());
        for ((stream, mark), told) in keys.iter().zip(answers.chunks(QUESTIONS)) {
            let look = match told {
                [marked, length, first, groups, memory] => match mark::read_mark(marked, mark)? {
                    marked @ Marked::By(_) => {
                        read_look(length, first, groups, memory)?.map(|seen| (marked, seen))
                    }
                    marked => Ok((marked, Seen::default())),
                },
                _ => return Err(unclear("looking at streams")),
            };
            looks.push((stream, look));
        }
        self.look_at_pending(&mut looks).await?;
        Ok(looks.into_iter().map(|(_, look)| look).collect())
    }

    /// The lowest pending entry of each group that has any.
    async fn look_at_pending(&self, looks: &mut [(&String, Look)]) -> Result<(), Error> {
        let mut ask = Pipeline::new();
        let mut waiting: Vec<&mut Reader> = Vec::new();
        for (stream, look) in looks {
            let Ok((_, seen)) = look else { continue };
            for reader in seen.readers.iter_mut().filter(|reader| reader.pending > 0) {
                ask.cmd("XPENDING").arg(stream.as_str()).arg(&reader.name);
                waiting.push(reader);
            }
        }
        if waiting.is_empty() {
            return Ok(());
        }
        for (reader, answer) in waiting.into_iter().zip(self.send(&ask).await?) {
            // Whatever else it says: what is pending is not known, and nothing is taken for acknowledged.
            if let Value::Array(parts) = answer {
                reader.lowest = parts.get(1).and_then(value::id);
            }
        }
        Ok(())
    }

    /// Takes off one bounded step of the entries below `floor`, whole nodes of the stream. Returns how many; zero when less
    /// than a node is left.
    pub(in crate::publish) async fn trim_step(&self, stream: &str, floor: EntryId) -> Result<u64, Error> {
        let mut command = redis::cmd("XTRIM");
        command.arg(stream).arg("MINID").arg("~").arg(floor.to_string());
        command.arg("LIMIT").arg(STEP);
        self.count("trimming a stream", &command).await
    }

    /// Takes off what is left below `floor`. Returns how many.
    pub(in crate::publish) async fn trim_rest(&self, stream: &str, floor: EntryId) -> Result<u64, Error> {
        let mut command = redis::cmd("XTRIM");
        command.arg(stream).arg("MINID").arg("=").arg(floor.to_string());
        self.count("trimming a stream", &command).await
    }

    /// The ids of the first `count` entries.
    pub(in crate::publish) async fn first_ids(
        &self,
        stream: &str,
        count: u64,
    ) -> Result<Vec<EntryId>, Error> {
        let mut command = redis::cmd("XRANGE");
        command.arg(stream).arg("-").arg("+").arg("COUNT").arg(count);
        match self
            .one("reading the first entries of a stream", &command)
            .await?
        {
            Value::Array(entries) => Ok(entries.iter().filter_map(value::entry_id).collect()),
            _ => Err(unclear("reading the first entries of a stream")),
        }
    }

    /// The last entry of a stretch that is on the stream.
    pub(in crate::publish) async fn last_in(
        &self,
        stream: &str,
        (from, to): Stretch,
    ) -> Result<Option<EntryId>, Error> {
        let mut command = redis::cmd("XREVRANGE");
        command.arg(stream).arg(to.to_string()).arg(from.to_string());
        command.arg("COUNT").arg(1);
        match self.one("looking for the entry before a hole", &command).await? {
            Value::Array(entries) => Ok(entries.first().and_then(value::entry_id)),
            _ => Err(unclear("looking for the entry before a hole")),
        }
    }

    /// The highest id that a stream ever had, whatever became of it, and the lowest there is where there is no stream; none where this
    /// user may not ask.
    pub(in crate::publish) async fn generated(&self, stream: &str) -> Result<Option<EntryId>, Error> {
        let mut ask = Pipeline::new();
        ask.cmd("XINFO").arg("STREAM").arg(stream);
        match self.send(&ask).await?.into_iter().next() {
            Some(Value::ServerError(error)) => match reply::read(&error) {
                Refusal::Stream(_) => Ok(None),
                Refusal::Server(why) if why.contains("no such key") => Ok(Some(EntryId::MIN)),
                refusal => Err(Error::new(Kind::SinkDown, format!("{refusal:?}"))),
            },
            Some(about) => Ok(value::named(&about, "last-generated-id").and_then(value::id)),
            None => Err(unclear("asking for the last id of a stream")),
        }
    }

    /// What the first entry of the chain on a stream names as its predecessor; none where there is none among the first ones.
    pub(in crate::publish) async fn first_previous(&self, stream: &str) -> Result<Option<EntryId>, Error> {
        let doing = "looking for the beginning of a stream";
        let mut command = redis::cmd("XRANGE");
        command.arg(stream).arg("-").arg("+").arg("COUNT").arg(LOOKED_AT);
        let Value::Array(entries) = self.one(doing, &command).await? else {
            return Err(unclear(doing));
        };
        Ok(entries.iter().find_map(|entry| {
            let event = envelope::decode_entry(&value::fields(entry)?).ok()?;
            event.previous_id
        }))
    }

    /// What an entry names as its predecessor; none if it is not there, or outside the chain.
    pub(in crate::publish) async fn previous_of(
        &self,
        stream: &str,
        id: EntryId,
    ) -> Result<Option<EntryId>, Error> {
        let doing = "looking what an entry follows";
        let mut command = redis::cmd("XRANGE");
        command.arg(stream).arg(id.to_string()).arg(id.to_string());
        let Value::Array(entries) = self.one(doing, &command).await? else {
            return Err(unclear(doing));
        };
        Ok(entries.iter().find_map(|entry| {
            let event = envelope::decode_entry(&value::fields(entry)?).ok()?;
            event.previous_id
        }))
    }

    /// Writes a field of a hash.
    pub(in crate::publish) async fn tell(&self, key: &str, field: &str, value: &str) -> Result<(), Error> {
        let mut command = redis::cmd("HSET");
        command.arg(key).arg(field).arg(value);
        self.one("telling a group where it begins", &command)
            .await
            .map(drop)
    }

    /// Names and values of the hash of holes.
    pub(in crate::publish) async fn holes(&self, key: &str) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Error> {
        let doing = "reading what groups miss";
        let (mut cursor, mut fields) = (b"0".to_vec(), Vec::new());
        loop {
            let mut command = redis::cmd("HSCAN");
            command.arg(key).arg(&cursor).arg("COUNT").arg(SCAN);
            let Value::Array(parts) = self.one(doing, &command).await? else {
                return Err(unclear(doing));
            };
            let [next, Value::Array(flat)] = parts.as_slice() else {
                return Err(unclear(doing));
            };
            fields.extend(
                flat.chunks_exact(2)
                    .filter_map(|pair| Some((value::bytes(&pair[0])?, value::bytes(&pair[1])?))),
            );
            cursor = value::bytes(next).ok_or_else(|| unclear(doing))?;
            if cursor == b"0" || fields.len() >= FIELDS_AT_MOST {
                return Ok(fields);
            }
        }
    }

    pub(super) async fn count(&self, doing: &str, command: &Cmd) -> Result<u64, Error> {
        match self.one(doing, command).await? {
            Value::Int(count) => Ok(u64::try_from(count).unwrap_or(0)),
            _ => Err(unclear(doing)),
        }
    }

    pub(super) async fn one(&self, doing: &str, command: &Cmd) -> Result<Value, Error> {
        self.redis
            .clone()
            .req_packed_command(command)
            .await
            .map_err(|error| reply::failed(doing, &error))
    }

    pub(super) async fn send(&self, pipeline: &Pipeline) -> Result<Vec<Value>, Error> {
        self.redis
            .clone()
            .req_packed_commands(pipeline, 0, pipeline.len())
            .await
            .map_err(|error| reply::failed("no answer from Redis", &error))
    }
}

/// Outer error: nothing is known of any stream. Inner: this one cannot be looked at.
fn read_look(
    length: &Value,
    first: &Value,
    groups: &Value,
    memory: &Value,
) -> Result<Result<Seen, String>, Error> {
    for answer in [length, first, groups] {
        if let Value::ServerError(error) = answer {
            match reply::read(error) {
                Refusal::Stream(why) => return Ok(Err(why)),
                // A stream that does not exist has no groups to tell of.
                Refusal::Server(why) if why.contains("no such key") => return Ok(Ok(Seen::default())),
                refusal => return Err(Error::new(Kind::SinkDown, format!("{refusal:?}"))),
            }
        }
    }
    let (Value::Int(length), Value::Array(first), Value::Array(groups)) = (length, first, groups) else {
        return Err(unclear("looking at streams"));
    };
    let readers: Option<Vec<Reader>> = groups.iter().map(reader).collect();
    Ok(Ok(Seen {
        length: u64::try_from(*length).unwrap_or(0),
        memory: match memory {
            Value::Int(bytes) => u64::try_from(*bytes).ok(),
            // Refused by some managed servers.
            _ => None,
        },
        first: first.first().and_then(value::entry_id),
        readers: readers.ok_or_else(|| unclear("reading the groups of a stream"))?,
    }))
}

pub(super) fn reader(group: &Value) -> Option<Reader> {
    let Value::Array(flat) = group else { return None };
    let field = |name: &str| {
        flat.chunks_exact(2)
            .find(|pair| value::text(&pair[0]).as_deref() == Some(name))
            .map(|pair| &pair[1])
    };
    let pending = match field("pending")? {
        Value::Int(pending) => u64::try_from(*pending).ok()?,
        _ => return None,
    };
    Some(Reader {
        name: String::from_utf8_lossy(&value::bytes(field("name")?)?).into_owned(),
        delivered: value::id(field("last-delivered-id")?)?,
        pending,
        lowest: None,
    })
}

pub(super) fn unclear(doing: &str) -> Error {
    Error::new(
        Kind::SinkDown,
        format!("{doing}: the answer has another shape than documented"),
    )
}
