//! The stream and its group. A connection for blocking reads stands still while it blocks, so it does nothing else.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::{StreamInfoGroupsReply, StreamInfoStreamReply};
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisError, Value};

use super::Error;
use super::set_back::GroupPlace;
use crate::event::EntryId;

/// No answer of a Redis that works takes this long.
pub(super) const RESPONSE_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// One name for whoever reads: only the holder of the stream's lease does, so that the next one finds what it left, and
/// members that came and went leave nothing in the group.
const READER: &str = "outbox";

/// What stands on a stream under an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: EntryId,
    /// Name and value, in the order of the entry.
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A part of what is pending.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) entries: Vec<Entry>,
    /// Pending entries that are no longer on the stream.
    pub(super) deleted: usize,
    /// Where the next part begins; none after the last.
    pub(super) next: Option<EntryId>,
}

/// What is delivered and not acknowledged: how many, and which are the first and the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) count: usize,
    pub(super) lowest: Option<EntryId>,
    pub(super) highest: Option<EntryId>,
}

/// One connection, for one stream and group.
#[derive(Clone)]
pub(super) struct Link {
    connection: MultiplexedConnection,
    stream: String,
    group: String,
}

/// A client for a URL; does not connect.
pub(super) fn client(url: &str) -> Result<Client, Error> {
    Client::open(url).map_err(|error| failed("reading the URL", error))
}

impl Entry {
    /// What it takes on the way.
    pub(super) fn size(&self) -> usize {
        self.fields
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum()
    }
}

impl Link {
    pub(super) async fn connect(client: &Client, stream: &str, group: &str) -> Result<Self, Error> {
        let connection = connect(client, RESPONSE_LIMIT).await?;
        Ok(Self {
            connection,
            stream: stream.to_owned(),
            group: group.to_owned(),
        })
    }

    /// A connection for reads that block for as long as `block`.
    pub(super) async fn connect_reader(&self, client: &Client, block: Duration) -> Result<Self, Error> {
        let connection = connect(client, block + RESPONSE_LIMIT).await?;
        Ok(Self {
            connection,
            stream: self.stream.clone(),
            group: self.group.clone(),
        })
    }

    /// Makes the group behind the entry that the inbox says was passed, and the stream if need be; behind nothing, where the
    /// stream ends before that entry: it was made anew, and what comes may be below. None when the group was there.
    pub(super) async fn ensure_group(&mut self, passed: Option<EntryId>) -> Result<Option<EntryId>, Error> {
        let from = passed.unwrap_or(EntryId::MIN);
        let mut command = redis::cmd("XGROUP");
        command
            .arg("CREATE")
            .arg(&self.stream)
            .arg(&self.group)
            .arg(from.to_string())
            .arg("MKSTREAM");
        match ask::<Value>(&mut self.connection, "making the consumer group", &command).await {
            Ok(_) => {}
            Err(Error::Redis { code: Some(code), .. }) if code == "BUSYGROUP" => return Ok(None),
            Err(error) => return Err(error),
        }
        // Looked at only now: what comes in between is above what stands there.
        if from > EntryId::MIN && self.last().await?.is_none_or(|last| last < from) {
            self.set_back(EntryId::MIN).await?;
            return Ok(Some(EntryId::MIN));
        }
        Ok(Some(from))
    }

    /// Lets everything behind an entry be delivered again.
    pub(super) async fn set_back(&mut self, to: EntryId) -> Result<(), Error> {
        let mut command = redis::cmd("XGROUP");
        command
            .arg("SETID")
            .arg(&self.stream)
            .arg(&self.group)
            .arg(to.to_string());
        ask::<Value>(&mut self.connection, "setting the consumer group back", &command)
            .await
            .map(drop)
    }

    /// Where the group stands; none where nobody may ask.
    pub(super) async fn group_place(&mut self) -> Result<Option<GroupPlace>, Error> {
        let doing = "looking where the group stands";
        let mut command = redis::cmd("XINFO");
        command.arg("GROUPS").arg(&self.stream);
        let groups = ask::<StreamInfoGroupsReply>(&mut self.connection, doing, &command);
        let Some(groups) = unless_forbidden(groups.await.map(Some))? else {
            return Ok(None);
        };
        let mut command = redis::cmd("XINFO");
        command.arg("STREAM").arg(&self.stream);
        let stream = ask::<StreamInfoStreamReply>(&mut self.connection, doing, &command);
        let Some(stream) = unless_forbidden(stream.await.map(Some))? else {
            return Ok(None);
        };
        let ours = groups.groups.iter().find(|group| group.name == self.group);
        let delivered = ours.and_then(|group| group.last_delivered_id.parse().ok());
        let end = stream.last_generated_id.parse().ok();
        Ok(delivered
            .zip(end)
            .map(|(delivered, end)| GroupPlace { delivered, end }))
    }

    /// The last entry of the stream.
    async fn last(&mut self) -> Result<Option<EntryId>, Error> {
        let mut command = redis::cmd("XREVRANGE");
        command.arg(&self.stream).arg("+").arg("-").arg("COUNT").arg(1);
        let rows = ask::<Vec<Value>>(
            &mut self.connection,
            "looking for the end of the stream",
            &command,
        );
        let rows = unless_forbidden(rows.await.map(Some))?.unwrap_or_default();
        Ok(rows.into_iter().find_map(entry_of).map(|entry| entry.id))
    }

    /// Whether there never was an entry on the stream since it was made. Not, as far as nobody may ask.
    pub(super) async fn is_unwritten(&mut self) -> Result<bool, Error> {
        let mut command = redis::cmd("XINFO");
        command.arg("STREAM").arg(&self.stream);
        let doing = "looking whether anything was on the stream";
        let info = ask::<StreamInfoStreamReply>(&mut self.connection, doing, &command);
        let info = unless_forbidden(info.await.map(Some))?;
        Ok(info.is_some_and(|info| info.last_generated_id.parse() == Ok(EntryId::MIN)))
    }

    /// Whether this entry is on the stream.
    pub(super) async fn is_there(&mut self, id: EntryId) -> Result<bool, Error> {
        let mut command = redis::cmd("XRANGE");
        command.arg(&self.stream).arg(id.to_string()).arg(id.to_string());
        let rows = ask::<Vec<Value>>(&mut self.connection, "looking for an entry", &command);
        Ok(unless_forbidden(rows.await.map(Some))?.is_some_and(|rows| !rows.is_empty()))
    }

    /// What stands under a field of a hash.
    pub(super) async fn field(&mut self, key: &str, field: &str) -> Result<Option<String>, Error> {
        let mut command = redis::cmd("HGET");
        command.arg(key).arg(field);
        let read = ask(
            &mut self.connection,
            "reading what the relay was asked for",
            &command,
        );
        unless_forbidden(read.await)
    }

    /// Writes a field of a hash.
    pub(super) async fn set_field(&mut self, key: &str, field: &str, value: &str) -> Result<(), Error> {
        let mut command = redis::cmd("HSET");
        command.arg(key).arg(field).arg(value);
        let asked = ask::<Value>(&mut self.connection, "asking the relay for an entry", &command);
        unless_forbidden(asked.await.map(Some)).map(drop)
    }

    /// Removes a field of a hash.
    pub(super) async fn drop_field(&mut self, key: &str, field: &str) -> Result<(), Error> {
        let mut command = redis::cmd("HDEL");
        command.arg(key).arg(field);
        let taken = ask::<Value>(
            &mut self.connection,
            "taking back what the relay was asked for",
            &command,
        );
        unless_forbidden(taken.await.map(Some)).map(drop)
    }

    /// Takes over what is pending from `start` on, whoever it was delivered to. The lease's epoch fences its old owner.
    pub(super) async fn claim(&mut self, start: EntryId, count: usize) -> Result<Claimed, Error> {
        let mut command = redis::cmd("XAUTOCLAIM");
        command
            .arg(&self.stream)
            .arg(&self.group)
            .arg(READER)
            .arg(0)
            .arg(start.to_string());
        command.arg("COUNT").arg(count);
        let doing = "claiming pending entries";
        let parts: Vec<Value> = ask(&mut self.connection, doing, &command).await?;
        let mut parts = parts.into_iter();
        let (Some(cursor), Some(Value::Array(rows))) = (parts.next(), parts.next()) else {
            return Err(unexpected(doing));
        };
        let cursor = id_of(&cursor).ok_or_else(|| unexpected(doing))?;
        // Redis 6.2 answers nil in the place of a deleted entry, later ones list its id apart.
        let nil = rows.iter().filter(|row| matches!(row, Value::Nil)).count();
        let apart = match parts.next() {
            Some(Value::Array(ids)) => ids.len(),
            _ => 0,
        };
        Ok(Claimed {
            entries: rows.into_iter().filter_map(entry_of).collect(),
            deleted: nil + apart,
            next: (cursor > EntryId::MIN).then_some(cursor),
        })
    }

    /// Reads entries of a stream again. Those that are not there do not come.
    pub(super) async fn fetch(&mut self, key: &str, ids: &[EntryId]) -> Result<Vec<Entry>, Error> {
        let mut pipe = redis::pipe();
        for id in ids {
            pipe.cmd("XRANGE")
                .arg(key)
                .arg(id.to_string())
                .arg(id.to_string());
        }
        let rows: Vec<Vec<Value>> = pipe
            .query_async(&mut self.connection)
            .await
            .map_err(|error| failed("reading entries again", error))?;
        Ok(rows.into_iter().flatten().filter_map(entry_of).collect())
    }

    /// What is delivered and not acknowledged.
    pub(super) async fn pending_summary(&mut self) -> Result<Pending, Error> {
        let command = pending(&self.stream, &self.group);
        let doing = "counting pending entries";
        let parts: Vec<Value> = ask(&mut self.connection, doing, &command).await?;
        match parts.as_slice() {
            [Value::Int(count), lowest, highest, ..] => Ok(Pending {
                count: usize::try_from(*count).unwrap_or(0),
                lowest: id_of(lowest),
                highest: id_of(highest),
            }),
            _ => Err(unexpected(doing)),
        }
    }

    /// The ids of entries between these two that are delivered and not acknowledged, in their order.
    pub(super) async fn pending_ids(
        &mut self,
        from: EntryId,
        until: EntryId,
        count: usize,
    ) -> Result<Vec<EntryId>, Error> {
        let mut command = pending(&self.stream, &self.group);
        command.arg(from.to_string()).arg(until.to_string()).arg(count);
        let doing = "listing pending entries";
        let rows: Vec<Value> = ask(&mut self.connection, doing, &command).await?;
        let ids = rows.iter().map(|row| match row {
            Value::Array(parts) => parts.first().and_then(id_of).ok_or_else(|| unexpected(doing)),
            _ => Err(unexpected(doing)),
        });
        ids.collect()
    }

    /// Whether this entry is delivered and not acknowledged.
    pub(super) async fn is_pending(&mut self, id: EntryId) -> Result<bool, Error> {
        let mut command = pending(&self.stream, &self.group);
        command.arg(id.to_string()).arg(id.to_string()).arg(1);
        let rows: Vec<Value> = ask(&mut self.connection, "looking for a pending entry", &command).await?;
        Ok(!rows.is_empty())
    }

    /// Acknowledges entries, in commands of a bounded size.
    pub(super) async fn acknowledge(&mut self, ids: &[EntryId]) -> Result<(), Error> {
        for ids in ids.chunks(500) {
            let mut command = redis::cmd("XACK");
            command.arg(&self.stream).arg(&self.group);
            for id in ids {
                command.arg(id.to_string());
            }
            ask::<Value>(&mut self.connection, "acknowledging", &command).await?;
        }
        crash_point!(ACKNOWLEDGED);
        Ok(())
    }

    /// Entries of the stream behind one of them, whoever has them.
    pub(super) async fn behind(&mut self, id: EntryId, count: usize) -> Result<Vec<Entry>, Error> {
        let stream = self.stream.clone();
        Ok(unless_forbidden(self.range(&stream, id, count).await.map(Some))?.unwrap_or_default())
    }

    /// Entries of another stream behind one of them, outside of any group.
    pub(super) async fn range(
        &mut self,
        key: &str,
        behind: EntryId,
        count: usize,
    ) -> Result<Vec<Entry>, Error> {
        let mut command = redis::cmd("XRANGE");
        command
            .arg(key)
            .arg(format!("({behind}"))
            .arg("+")
            .arg("COUNT")
            .arg(count);
        let rows: Vec<Value> = ask(&mut self.connection, "reading older entries", &command).await?;
        Ok(rows.into_iter().filter_map(entry_of).collect())
    }

    /// Removes another stream.
    pub(super) async fn remove(&mut self, key: &str) -> Result<(), Error> {
        let mut command = redis::cmd("UNLINK");
        command.arg(key);
        ask::<Value>(&mut self.connection, "removing older entries", &command)
            .await
            .map(drop)
    }

    /// New entries; none when nothing came within `block`.
    pub(super) async fn read(&mut self, count: usize, block: Duration) -> Result<Vec<Entry>, Error> {
        let mut command = redis::cmd("XREADGROUP");
        command
            .arg("GROUP")
            .arg(&self.group)
            .arg(READER)
            .arg("COUNT")
            .arg(count);
        command
            .arg("BLOCK")
            .arg(u64::try_from(block.as_millis()).unwrap_or(u64::MAX));
        command.arg("STREAMS").arg(&self.stream).arg(">");
        let doing = "reading new entries";
        match ask::<Value>(&mut self.connection, doing, &command).await? {
            Value::Nil => Ok(Vec::new()),
            Value::Array(mut streams) => match streams.pop() {
                Some(Value::Array(mut pair)) => match pair.pop() {
                    Some(Value::Array(rows)) => Ok(rows.into_iter().filter_map(entry_of).collect()),
                    _ => Err(unexpected(doing)),
                },
                None => Ok(Vec::new()),
                Some(_) => Err(unexpected(doing)),
            },
            _ => Err(unexpected(doing)),
        }
    }
}

/// A consumer whose user lacks a right that only repairs need goes on without repairs.
pub(super) fn unless_forbidden<T>(answer: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
    match answer {
        Err(Error::Redis {
            code: Some(code),
            doing,
            ..
        }) if code == "NOPERM" => {
            tracing::warn!(
                doing,
                "no permission: the relay is not asked for what the stream lost; see docs/operating.md"
            );
            Ok(None)
        }
        answer => answer,
    }
}

fn pending(stream: &str, group: &str) -> Cmd {
    let mut command = redis::cmd("XPENDING");
    command.arg(stream).arg(group);
    command
}

pub(super) async fn connect(client: &Client, response: Duration) -> Result<MultiplexedConnection, Error> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_LIMIT))
        .set_response_timeout(Some(response));
    let connection = client.get_multiplexed_async_connection_with_config(&config).await;
    connection.map_err(|error| failed("connecting", error))
}

pub(super) async fn ask<T: FromRedisValue>(
    connection: &mut MultiplexedConnection,
    doing: &'static str,
    command: &Cmd,
) -> Result<T, Error> {
    command
        .query_async(connection)
        .await
        .map_err(|error| failed(doing, error))
}

/// Asks many questions at once; each has its own answer, or its own refusal.
pub(super) async fn ask_all(
    connection: &mut MultiplexedConnection,
    doing: &'static str,
    questions: &Pipeline,
) -> Result<Vec<Value>, Error> {
    connection
        .send_packed_commands(questions, 0, questions.len())
        .await
        .map_err(|error| failed(doing, error))
}

fn failed(doing: &'static str, error: RedisError) -> Error {
    let code = error.code().map(str::to_owned);
    Error::Redis {
        doing,
        code,
        source: Box::new(error),
    }
}

pub(super) fn unexpected(doing: &'static str) -> Error {
    Error::Redis {
        doing,
        code: None,
        source: "the answer has another shape than documented".into(),
    }
}

fn id_of(value: &Value) -> Option<EntryId> {
    let text: String = redis::from_redis_value_ref(value).ok()?;
    text.parse().ok()
}

/// An entry as `[id, [name, value, …]]`; nil stands for one that was deleted while it was pending.
pub(super) fn entry_of(row: Value) -> Option<Entry> {
    let Value::Array(mut pair) = row else { return None };
    let (fields, id) = (pair.pop()?, pair.pop()?);
    let fields: Vec<Vec<u8>> = redis::from_redis_value(fields).ok()?;
    let mut values = fields.into_iter();
    let mut fields = Vec::new();
    while let (Some(name), Some(value)) = (values.next(), values.next()) {
        fields.push((name, value));
    }
    Some(Entry {
        id: id_of(&id)?,
        fields,
    })
}
