//! Redis in a seek: what is on a stream, the group set back, and the prelude written.

use redis::aio::MultiplexedConnection;
use redis::streams::StreamInfoStreamReply;
use redis::{Client, Pipeline, Value};

use super::plan::Front;
use crate::consume::Error;
use crate::consume::layout::Layout;
use crate::consume::redis::{Entry, RESPONSE_LIMIT, ask, ask_all, connect, entry_of, unexpected};
use crate::consume::stream::Stream;
use crate::event::{EntryId, envelope};
use crate::publish::Entry as Outgoing;

/// How many entries at the front are looked at for one that is part of the chain.
const FRONT: usize = 100;
/// How many entries are counted one by one before it is only said that there are more.
const COUNTED: u64 = 20_000;
const COUNT_AT_ONCE: usize = 1_000;
/// After so many seconds without another entry a prelude that was not completed is gone.
const UNFINISHED_SECONDS: u64 = 24 * 3600;

/// A connection for a seek.
pub(super) struct Streams {
    connection: MultiplexedConnection,
}

impl Streams {
    pub(super) async fn connect(client: &Client) -> Result<Self, Error> {
        Ok(Self {
            connection: connect(client, RESPONSE_LIMIT).await?,
        })
    }

    /// Keys of streams that match a pattern.
    pub(super) async fn find(&mut self, pattern: &str) -> Result<Vec<String>, Error> {
        let (mut cursor, mut keys) = (0_u64, Vec::new());
        loop {
            let mut command = redis::cmd("SCAN");
            command.arg(cursor).arg("MATCH").arg(pattern);
            command.arg("COUNT").arg(1000).arg("TYPE").arg("stream");
            let (next, found): (u64, Vec<String>) = ask(
                &mut self.connection,
                "looking for the streams of the topic",
                &command,
            )
            .await?;
            keys.extend(found);
            cursor = next;
            if cursor == 0 {
                return Ok(keys);
            }
        }
    }

    /// The last entry that was ever put on a stream; the smallest id if there never was one.
    pub(super) async fn last(&mut self, stream: &str) -> Result<EntryId, Error> {
        let mut command = redis::cmd("XINFO");
        command.arg("STREAM").arg(stream);
        let doing = "looking at the end of a stream";
        match ask::<StreamInfoStreamReply>(&mut self.connection, doing, &command).await {
            Ok(info) => Ok(info.last_generated_id.parse().unwrap_or(EntryId::MIN)),
            // There is no such stream.
            Err(Error::Redis { code: Some(code), .. }) if code == "ERR" => Ok(EntryId::MIN),
            Err(error) => Err(error),
        }
    }

    /// Where the last older generation of a stream ends, if it has one.
    pub(super) async fn last_end(&mut self, prefix: &str, stream: &Stream) -> Result<Option<EntryId>, Error> {
        let mut command = redis::cmd("GET");
        command.arg(stream.flow().layout_key(prefix));
        let doing = "reading the layout of the topic";
        let text: Option<String> = ask(&mut self.connection, doing, &command).await?;
        // What is no layout is said by the members.
        let layout = text.and_then(|text| Layout::parse(&text).ok());
        Ok(layout.and_then(|layout| layout.last_end(stream.partition)))
    }

    /// What is on a stream.
    pub(super) async fn front(&mut self, stream: &str) -> Result<Front, Error> {
        let mut front = Front::default();
        // Nearly always the first one is part of the chain, and entries may be large.
        for count in [1, FRONT] {
            front = self.first_of(stream, count).await?;
            if front.first.is_some() || front.length < count as u64 {
                break;
            }
        }
        Ok(front)
    }

    async fn first_of(&mut self, stream: &str, count: usize) -> Result<Front, Error> {
        let doing = "looking at the beginning of a stream";
        let mut ask = redis::pipe();
        ask.cmd("XLEN").arg(stream);
        ask.cmd("XRANGE")
            .arg(stream)
            .arg("-")
            .arg("+")
            .arg("COUNT")
            .arg(count);
        let answers = checked(ask_all(&mut self.connection, doing, &ask).await?, doing)?;
        let [Value::Int(length), Value::Array(rows)] = answers.as_slice() else {
            return Err(unexpected(doing));
        };
        let first = rows.iter().cloned().filter_map(entry_of).find_map(|entry| {
            let event = envelope::decode_entry(&entry.fields).ok()?;
            Some((entry.id, event.previous_id?))
        });
        Ok(Front {
            length: u64::try_from(*length).unwrap_or(0),
            first,
        })
    }

    /// How many entries are behind a place, and whether there are more than that.
    pub(super) async fn count(&mut self, stream: &str, behind: EntryId) -> Result<(u64, bool), Error> {
        let (mut from, mut count) = (behind, 0);
        while count < COUNTED {
            let entries = self.range(stream, from, COUNT_AT_ONCE).await?;
            let Some(last) = entries.last() else {
                return Ok((count, false));
            };
            from = last.id;
            count += entries.len() as u64;
        }
        Ok((count, true))
    }

    async fn range(&mut self, stream: &str, behind: EntryId, count: usize) -> Result<Vec<Entry>, Error> {
        let doing = "reading a stream";
        let mut ask = redis::pipe();
        ask.cmd("XRANGE")
            .arg(stream)
            .arg(format!("({behind}"))
            .arg("+")
            .arg("COUNT")
            .arg(count);
        match checked(ask_all(&mut self.connection, doing, &ask).await?, doing)?.pop() {
            Some(Value::Array(rows)) => Ok(rows.into_iter().filter_map(entry_of).collect()),
            _ => Err(unexpected(doing)),
        }
    }

    /// Makes the group anew behind a place: nothing is delivered or pending any more, and everything behind it is new. In one
    /// step, so that whoever trims never finds the stream without the group.
    pub(super) async fn set_back(&mut self, stream: &str, group: &str, behind: EntryId) -> Result<(), Error> {
        let doing = "setting the consumer group back";
        let mut transaction = Pipeline::new();
        transaction.cmd("MULTI");
        transaction.cmd("XGROUP").arg("DESTROY").arg(stream).arg(group);
        transaction
            .cmd("XGROUP")
            .arg("CREATE")
            .arg(stream)
            .arg(group)
            .arg(behind.to_string())
            .arg("MKSTREAM");
        transaction.cmd("EXEC");
        let mut answers = checked(ask_all(&mut self.connection, doing, &transaction).await?, doing)?;
        match answers.pop() {
            // Where the stream is not there, it has no group to remove, and the refusal of that is none of ours.
            Some(Value::Array(done)) => checked(done.into_iter().skip(1).collect(), doing).map(drop),
            _ => Err(unexpected(doing)),
        }
    }

    /// Removes a prelude.
    pub(super) async fn remove(&mut self, prelude: &str) -> Result<(), Error> {
        let doing = "removing what a seek wrote";
        let mut ask = redis::pipe();
        ask.cmd("UNLINK").arg(prelude);
        checked(ask_all(&mut self.connection, doing, &ask).await?, doing).map(drop)
    }

    /// Puts entries on a prelude, in their order. It ends by itself unless it is kept.
    pub(super) async fn write(&mut self, prelude: &str, entries: &[Outgoing]) -> Result<(), Error> {
        let doing = "writing older entries for the group";
        let mut ask = Pipeline::with_capacity(entries.len() + 1);
        for (number, entry) in entries.iter().enumerate() {
            let command = ask.cmd("XADD").arg(prelude).arg(entry.id.to_string());
            for (name, value) in entry.clone().into_fields() {
                command.arg(name).arg(value);
            }
            // Behind the first already: who is killed in the middle of sending leaves nothing that stays.
            if number == 0 {
                ask.cmd("EXPIRE").arg(prelude).arg(UNFINISHED_SECONDS);
            }
        }
        checked(ask_all(&mut self.connection, doing, &ask).await?, doing).map(drop)
    }

    /// Keeps a prelude that is whole, until the group has passed it. Returns how many entries it has.
    pub(super) async fn keep(&mut self, prelude: &str) -> Result<u64, Error> {
        let doing = "keeping older entries";
        let mut ask = redis::pipe();
        ask.cmd("PERSIST").arg(prelude);
        ask.cmd("XLEN").arg(prelude);
        match checked(ask_all(&mut self.connection, doing, &ask).await?, doing)?.pop() {
            Some(Value::Int(length)) => Ok(u64::try_from(length).unwrap_or(0)),
            _ => Err(unexpected(doing)),
        }
    }
}

/// The answers, unless one of them is a refusal.
fn checked(answers: Vec<Value>, doing: &'static str) -> Result<Vec<Value>, Error> {
    let refusal = answers.iter().find_map(|answer| match answer {
        Value::ServerError(error) => Some((error.code().to_owned(), error.to_string())),
        _ => None,
    });
    match refusal {
        None => Ok(answers),
        Some((code, said)) => Err(Error::Redis {
            doing,
            code: Some(code),
            source: said.into(),
        }),
    }
}
