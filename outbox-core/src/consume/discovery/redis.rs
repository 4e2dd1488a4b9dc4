//! What Redis says about flows: their layouts, the streams of their writers, what a stream begins with.

use redis::aio::MultiplexedConnection;
use redis::streams::StreamInfoStreamReply;
use redis::{Client, Value};

use super::Discovery;
use crate::consume::layout::Rest;
use crate::consume::redis::{Entry, RESPONSE_LIMIT, ask, connect, entry_of, unless_forbidden};
use crate::consume::{Error, stream};
use crate::event::{EntryId, envelope};

/// Keys of one question.
const KEYS_MAX: usize = 500;
/// Entries of one look for one of the chain.
const LOOKED_AT: usize = 10;

/// One connection.
#[derive(Clone)]
pub(super) struct Link {
    connection: MultiplexedConnection,
}

impl Link {
    pub(super) async fn connect(client: &Client) -> Result<Self, Error> {
        let connection = connect(client, RESPONSE_LIMIT).await?;
        Ok(Self { connection })
    }

    /// The texts under these keys; none where nothing is.
    pub(super) async fn layouts(&mut self, keys: &[String]) -> Result<Vec<Option<String>>, Error> {
        let mut layouts = Vec::with_capacity(keys.len());
        for keys in keys.chunks(KEYS_MAX) {
            let mut command = redis::cmd("MGET");
            command.arg(keys);
            let found: Vec<Option<String>> =
                ask(&mut self.connection, "reading the layouts of topics", &command).await?;
            layouts.extend(found);
        }
        Ok(layouts)
    }

    /// What a stream has for a group. With a prelude that is what is left, as long as it has a name.
    pub(super) async fn rest(&mut self, stream: &str, prelude: Option<&str>) -> Result<Option<Rest>, Error> {
        for key in prelude.into_iter().chain([stream]) {
            let mut command = redis::cmd("XRANGE");
            command.arg(key).arg("-").arg("+").arg("COUNT").arg(1);
            let doing = "looking for the first entry of a stream";
            let rows: Vec<Value> = ask(&mut self.connection, doing, &command).await?;
            if let Some(entry) = rows.into_iter().find_map(entry_of) {
                return Ok(Some(Rest::First(entry.id)));
            }
            if prelude.is_some() {
                // It was passed and removed at this moment, or it was lost: nothing is known of what is left.
                return Ok(None);
            }
        }
        let mut command = redis::cmd("XINFO");
        command.arg("STREAM").arg(stream);
        let doing = "looking for the last entry that a stream had";
        match ask::<StreamInfoStreamReply>(&mut self.connection, doing, &command).await {
            Ok(info) => Ok(Some(Rest::Empty(
                info.last_generated_id.parse().unwrap_or(EntryId::MIN),
            ))),
            // There is no such stream.
            Err(Error::Redis { code: Some(code), .. }) if code == "ERR" => {
                Ok(Some(Rest::Empty(EntryId::MIN)))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether anything is on a stream.
    pub(super) async fn has_entry(&mut self, stream: &str) -> Result<bool, Error> {
        let mut command = redis::cmd("XRANGE");
        command.arg(stream).arg("-").arg("+").arg("COUNT").arg(1);
        let doing = "looking for the mark of a stream";
        let rows: Vec<Value> = ask(&mut self.connection, doing, &command).await?;
        Ok(!rows.is_empty())
    }

    /// A field of a hash.
    pub(super) async fn field(&mut self, key: &str, field: &str) -> Result<Option<String>, Error> {
        let mut command = redis::cmd("HGET");
        command.arg(key).arg(field);
        let doing = "reading what the relay was asked for";
        unless_forbidden(ask(&mut self.connection, doing, &command).await)
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
        let doing = "taking back what the relay was asked for";
        let taken = ask::<Value>(&mut self.connection, doing, &command);
        unless_forbidden(taken.await.map(Some)).map(drop)
    }

    /// The first entry of the chain on a stream, behind one and up to another. Those of strangers may long be finished.
    pub(super) async fn first_of_chain(
        &mut self,
        stream: &str,
        behind: EntryId,
        until: EntryId,
    ) -> Result<Option<EntryId>, Error> {
        let mut behind = behind;
        while behind < until {
            let mut command = redis::cmd("XRANGE");
            command
                .arg(stream)
                .arg(format!("({behind}"))
                .arg(until.to_string());
            command.arg("COUNT").arg(LOOKED_AT);
            let doing = "looking for what is left of a stream";
            let rows: Vec<Value> = ask(&mut self.connection, doing, &command).await?;
            let entries: Vec<Entry> = rows.into_iter().filter_map(entry_of).collect();
            let is_chained = |entry: &&Entry| {
                let event = envelope::decode_entry(&entry.fields);
                event.is_ok_and(|event| event.previous_id.is_some())
            };
            if let Some(entry) = entries.iter().find(is_chained) {
                return Ok(Some(entry.id));
            }
            let Some(last) = entries.last() else { break };
            behind = last.id;
        }
        Ok(None)
    }

    /// The keys of streams that writers have.
    pub(super) async fn writers(&mut self, prefix: &str) -> Result<Vec<String>, Error> {
        let (mut cursor, mut keys) = (0_u64, Vec::new());
        loop {
            let mut command = redis::cmd("SCAN");
            command.arg(cursor).arg("MATCH").arg(stream::pattern(prefix));
            command.arg("COUNT").arg(1000).arg("TYPE").arg("stream");
            let (next, found): (u64, Vec<String>) =
                ask(&mut self.connection, "looking for streams", &command).await?;
            keys.extend(found);
            cursor = next;
            if cursor == 0 {
                return Ok(keys);
            }
        }
    }
}

impl Discovery {
    /// Asks on the one connection that is kept. After trouble it is not used again.
    pub(super) async fn ask<T>(
        &self,
        client: &Client,
        question: impl AsyncFnOnce(&mut Link) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let kept = self.link.lock().await.clone();
        let mut link = match kept {
            Some(link) => link,
            None => Link::connect(client).await?,
        };
        let answer = question(&mut link).await;
        *self.link.lock().await = answer.is_ok().then_some(link);
        answer
    }
}
