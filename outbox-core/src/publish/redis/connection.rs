//! One connection to Redis: parcels, marks, and looks at what is stored.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Pipeline, Value};

use super::layout::read_layout;
use super::replicas::Replicas;
use super::reply::{self, Refusal};
use super::socket::Socket;
use super::value::{bytes, text};
use super::weigh::{self, Known, PAGE_BYTES, Weight};
use super::{pack, search, unfit};
use crate::event::{EntryId, Event, envelope};
use crate::observe;
use crate::publish::sink::foreign;
use crate::publish::{
    Announced, Answer, Entry, Error, Fields, Kind, Mark, Marked, Parcel, Predecessor, Receipt,
    SinkConnection, Top,
};

/// Streams whose length is asked for with one round trip.
const LENGTHS_AT_ONCE: usize = 10_000;
/// Streams whose last entry is looked at in pages that are planned together.
const PLANNED_AT_ONCE: usize = 1_000;
/// Pages with which one look at quiet streams ends: it is not the only thing that the leader does.
const PAGES_AT_MOST: usize = 16;

/// What carries commands and answers.
pub(super) enum Wire {
    /// Over plain TCP.
    Socket(Socket),
    /// Over everything else: TLS, Unix sockets, RESP 3.
    Driver(MultiplexedConnection),
}

/// How many commands' memory is kept for the next ones, and how large it may be: an ordinary parcel, twice.
const KEPT: usize = 4;
const KEPT_BYTES: usize = 1 << 20;

/// A connection that reports its failures and does not mend them.
pub(super) struct Connection {
    wire: Wire,
    /// Memory of commands that were sent, for the next ones.
    sent: Mutex<Vec<Vec<u8>>>,
    replicas: Option<Replicas>,
    pub(super) known: Known,
}

impl Connection {
    pub(super) fn new(wire: Wire, replicas: Option<Replicas>) -> Self {
        Self {
            wire,
            sent: Mutex::default(),
            replicas,
            known: Known::default(),
        }
    }

    /// A server that evicts keys would lose streams silently; one that refuses `MULTI` would run what follows it one by one.
    pub(super) async fn check_fitness(&self) -> Result<(), Error> {
        let mut transaction = Pipeline::new();
        transaction.cmd("MULTI");
        transaction.cmd("EXEC");
        for reply in self.send(&transaction).await? {
            if let Value::ServerError(error) = reply {
                return Err(unfit(format!(
                    "Redis refuses MULTI or EXEC ({}): parcels could be taken in part; grant them to the relay's user",
                    error.code()
                )));
            }
        }
        self.check_replicas().await?;
        let mut ask = Pipeline::new();
        ask.cmd("CONFIG").arg("GET").arg("maxmemory-policy");
        // Managed servers refuse CONFIG; then `outbox-relay check` says that it could not look.
        if let Some(Value::Array(pair)) = self.send(&ask).await?.into_iter().next()
            && let Some(policy) = pair.get(1).and_then(text)
            && policy != "noeviction"
        {
            let limit = self.memory_limit().await?;
            if limit != "0" {
                return Err(unfit(format!(
                    "Redis evicts keys when its memory is full (maxmemory-policy {policy}): streams would vanish; set noeviction"
                )));
            }
        }
        Ok(())
    }

    /// Where replicas must have every parcel, nothing is sent while they do not answer: that is found out here, and not by a
    /// parcel, so that the relay is not taken for ready in between.
    async fn check_replicas(&self) -> Result<(), Error> {
        let Some(replicas) = &self.replicas else {
            return Ok(());
        };
        let mut ask = Pipeline::new();
        replicas.write(&mut ask);
        replicas.wait(&mut ask);
        let replies = self.send(&ask).await?;
        match replies.first() {
            Some(Value::ServerError(error)) => Err(match reply::read(error) {
                Refusal::Server(why) => Error::new(Kind::SinkDown, why),
                Refusal::Unfit(why) | Refusal::Stream(why) => unfit(why),
                Refusal::IdTaken => Error::new(Kind::SinkDown, "Redis refused a key as an id"),
            }),
            _ => self.replicated(replicas, replies.last()),
        }
    }

    fn replicated(&self, replicas: &Replicas, said: Option<&Value>) -> Result<(), Error> {
        replicas.have_it(said).inspect_err(|_| {
            metrics::counter!(observe::PUBLISH_UNREPLICATED).increment(1);
        })
    }

    async fn memory_limit(&self) -> Result<String, Error> {
        let mut ask = Pipeline::new();
        ask.cmd("CONFIG").arg("GET").arg("maxmemory");
        let answer = self.send(&ask).await?.into_iter().next();
        Ok(match answer {
            Some(Value::Array(pair)) => pair.get(1).and_then(text).unwrap_or_default(),
            _ => String::new(),
        })
    }

    pub(super) async fn send(&self, pipeline: &Pipeline) -> Result<Vec<Value>, Error> {
        let count = pipeline.len();
        if count == 0 {
            return Ok(Vec::new());
        }
        match &self.wire {
            Wire::Socket(socket) => {
                let (answers, _) = socket.send(pipeline.get_packed_pipeline(), count).await?;
                Ok(answers)
            }
            Wire::Driver(driver) => driver
                .clone()
                .req_packed_commands(pipeline, 0, count)
                .await
                .map_err(|error| reply::failed("no answer from Redis", &error)),
        }
    }

    async fn send_parcel(&self, parcel: &mut Parcel) -> Result<Vec<Value>, Error> {
        let replicas = self.replicas.as_ref();
        let Wire::Socket(socket) = &self.wire else {
            return self.send(&transaction(parcel, replicas)).await;
        };
        let kept = || self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let mut commands = kept().pop().unwrap_or_default();
        let count = pack::pack(parcel, replicas, &mut commands);
        // Its ids are all that is needed afterwards.
        for entry in &mut parcel.entries {
            if let Fields::Each { fields, .. } = &mut entry.fields {
                fields.clear();
            }
        }
        let (answers, mut commands) = socket.send(commands, count).await?;
        // One that was large is given back: most parcels are not.
        if commands.capacity() <= KEPT_BYTES && kept().len() < KEPT {
            commands.clear();
            kept().push(commands);
        }
        Ok(answers)
    }

    async fn put(&self, mut parcel: Parcel) -> Result<Receipt, Error> {
        crash_point!(PARCEL_BEFORE_SEND);
        let replicas = self.replicas.as_ref();
        let mut replies = self.send_parcel(&mut parcel).await?;
        crash_point!(PARCEL_SENT);
        let waited = replicas.and_then(|_| replies.pop());
        let queued_refusal = replies.iter().find_map(|reply| match reply {
            Value::ServerError(error) => Some(reply::read(error)),
            _ => None,
        });
        let Some(Value::Array(results)) = replies.pop() else {
            // Nothing of the transaction was applied: one of its commands was refused, and EXEC with it.
            let refusal =
                queued_refusal.unwrap_or_else(|| Refusal::Server("Redis gave up the transaction".to_owned()));
            return match refusal {
                Refusal::Stream(why) => Ok(Receipt {
                    marked: None,
                    answers: vec![Answer::Blocked(why)],
                }),
                Refusal::Unfit(why) => Err(Error::new(Kind::SinkUnfit, why)),
                Refusal::Server(why) => Err(Error::new(Kind::SinkDown, why)),
                Refusal::IdTaken => Err(Error::new(
                    Kind::SinkDown,
                    "Redis refused an id before it was tried",
                )),
            };
        };
        let receipt = self.read_results(&parcel, results).await?;
        match replicas {
            // What was there before too: nobody says that the replicas had it then.
            Some(replicas) if receipt.confirms() => {
                self.replicated(replicas, waited.as_ref()).map(|()| receipt)
            }
            _ => Ok(receipt),
        }
    }

    async fn read_results(&self, parcel: &Parcel, mut results: Vec<Value>) -> Result<Receipt, Error> {
        let (key, ours) = &parcel.mark;
        let mut marked = None;
        match read_mark(&results.remove(0), key)? {
            Marked::By(mark) if mark.database_id != ours.database_id => {
                let why = foreign(&parcel.stream, &mark.database_id, &ours.database_id);
                return Ok(Receipt {
                    marked: Some(mark),
                    answers: vec![Answer::Rejected(why)],
                });
            }
            Marked::Unreadable(why) => {
                return Ok(Receipt {
                    marked: None,
                    answers: vec![Answer::Blocked(why)],
                });
            }
            Marked::By(mark) => marked = Some(mark),
            Marked::Never => {}
        }
        if parcel.predecessor > EntryId::MIN {
            match found(&results.remove(0)) {
                Ok(true) => {}
                Ok(false) if parcel.predecessor < parcel.floor => {}
                Ok(false) => {
                    let what = format!(
                        "stream {} no longer holds entry {}, which was confirmed before: the stream was deleted, flushed or restored",
                        parcel.stream, parcel.predecessor
                    );
                    return Ok(Receipt {
                        marked,
                        answers: vec![Answer::Lost(what)],
                    });
                }
                Err(Refusal::Stream(why)) => {
                    return Ok(Receipt {
                        marked,
                        answers: vec![Answer::Blocked(why)],
                    });
                }
                Err(Refusal::Unfit(why)) => return Err(Error::new(Kind::SinkUnfit, why)),
                Err(refusal) => return Err(Error::new(Kind::SinkDown, format!("{refusal:?}"))),
            }
        }
        let taken = results.iter().take(parcel.entries.len()).any(
            |result| matches!(result, Value::ServerError(error) if reply::read(error) == Refusal::IdTaken),
        );
        let stored = if taken {
            self.stored(parcel).await?
        } else {
            HashMap::new()
        };
        let mut answers = Vec::with_capacity(parcel.entries.len());
        for (entry, result) in parcel.entries.iter().zip(&results) {
            answers.push(match result {
                Value::ServerError(error) => match reply::read(error) {
                    Refusal::IdTaken => already_there(parcel, entry, &stored),
                    Refusal::Stream(why) => Answer::Blocked(why),
                    Refusal::Unfit(why) => return Err(Error::new(Kind::SinkUnfit, why)),
                    Refusal::Server(why) => return Err(Error::new(Kind::SinkDown, why)),
                },
                _ => Answer::Durable,
            });
        }
        Ok(Receipt { marked, answers })
    }

    /// The ids of the events stored under the ids of a parcel.
    async fn stored(&self, parcel: &Parcel) -> Result<HashMap<EntryId, String>, Error> {
        let (Some(first), Some(last)) = (parcel.entries.first(), parcel.entries.last()) else {
            return Ok(HashMap::new());
        };
        let mut ask = Pipeline::new();
        ask.cmd("XRANGE")
            .arg(&parcel.stream)
            .arg(first.id.to_string())
            .arg(last.id.to_string());
        match self.send(&ask).await?.into_iter().next() {
            Some(Value::Array(entries)) => Ok(entries.into_iter().filter_map(stored_entry).collect()),
            // Nothing was learned: that is not the same as "nothing is there", which would be a loss.
            other => Err(Error::new(
                Kind::SinkDown,
                match other {
                    Some(Value::ServerError(error)) => {
                        format!("cannot look at refused entries: {:?}", reply::read(&error))
                    }
                    _ => "cannot look at refused entries".to_owned(),
                },
            )),
        }
    }
}

impl SinkConnection for Connection {
    fn publish(&self, parcel: Parcel) -> BoxFuture<'_, Result<Receipt, Error>> {
        Box::pin(self.put(parcel))
    }

    fn marks<'a>(&'a self, marks: &'a [String]) -> BoxFuture<'a, Result<Vec<Marked>, Error>> {
        Box::pin(async move {
            let mut ask = Pipeline::new();
            for mark in marks {
                ask.cmd("XREVRANGE")
                    .arg(mark)
                    .arg("+")
                    .arg("-")
                    .arg("COUNT")
                    .arg(1);
            }
            let answers = self.send(&ask).await?;
            answers
                .iter()
                .zip(marks)
                .map(|(answer, key)| read_mark(answer, key))
                .collect()
        })
    }

    fn announce<'a>(
        &'a self,
        layouts: &'a [(String, String)],
    ) -> BoxFuture<'a, Result<Vec<Announced>, Error>> {
        Box::pin(self.set_layouts(layouts))
    }

    fn tops<'a>(&'a self, streams: &'a [String]) -> BoxFuture<'a, Result<Vec<Option<Top>>, Error>> {
        Box::pin(async move {
            let mut tops = Vec::with_capacity(streams.len());
            for streams in streams.chunks(PLANNED_AT_ONCE) {
                let last: Vec<_> = streams.iter().map(|stream| (stream.as_str(), None)).collect();
                let weights = self.weigh(&last).await?;
                let mut done = 0;
                while done < streams.len() {
                    let page = weigh::page(&weights[done..], PAGE_BYTES);
                    let streams = &streams[done..done + page];
                    let mut ask = Pipeline::new();
                    for stream in streams {
                        ask.cmd("XREVRANGE").arg(stream).arg(&["+", "-", "COUNT", "1"]);
                    }
                    for (stream, answer) in streams.iter().zip(self.send(&ask).await?) {
                        let bytes = weigh::bytes_of(&answer);
                        let top = read_top(answer);
                        if let Some(top) = &top {
                            self.known.keep(stream, top.id, bytes);
                        }
                        tops.push(top);
                    }
                    done += page;
                }
            }
            Ok(tops)
        })
    }

    fn layouts<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, Result<Vec<Option<String>>, Error>> {
        Box::pin(async move {
            if keys.is_empty() {
                return Ok(Vec::new());
            }
            let mut ask = Pipeline::new();
            for key in keys {
                ask.cmd("GET").arg(key);
            }
            self.send(&ask).await?.iter().map(read_layout).collect()
        })
    }

    fn search<'a>(
        &'a self,
        cursor: &'a str,
        pattern: &'a str,
    ) -> BoxFuture<'a, Result<(Vec<String>, Option<String>), Error>> {
        Box::pin(async move {
            let mut ask = Pipeline::new();
            ask.add_command(search::command(cursor, pattern));
            let answer = self.send(&ask).await?.into_iter().next();
            search::read(&answer.unwrap_or(Value::Nil))
        })
    }

    fn between<'a>(
        &'a self,
        stream: &'a str,
        above: EntryId,
        below: EntryId,
        count: usize,
    ) -> BoxFuture<'a, Result<Vec<(EntryId, Option<String>)>, Error>> {
        Box::pin(async move {
            let weight = self.weigh(&[(stream, None)]).await?.pop();
            let mean = weight.map_or(PAGE_BYTES, |weight| weight.bytes.max(1));
            let fitting = usize::try_from(PAGE_BYTES / mean).unwrap_or(count);
            let count = fitting.clamp(1, count.max(1));
            let mut ask = Pipeline::new();
            ask.cmd("XREVRANGE").arg(stream);
            ask.arg(format!("({below}")).arg(format!("({above}"));
            ask.arg("COUNT").arg(count);
            match self.send(&ask).await?.into_iter().next() {
                Some(Value::Array(entries)) => Ok(entries.into_iter().filter_map(read_passed).collect()),
                // It is asked again by whatever is sent to it.
                _ => Ok(Vec::new()),
            }
        })
    }

    fn lengths<'a>(&'a self, streams: &'a [String]) -> BoxFuture<'a, Result<Vec<Option<u64>>, Error>> {
        Box::pin(async move {
            let mut lengths = Vec::with_capacity(streams.len());
            for streams in streams.chunks(LENGTHS_AT_ONCE) {
                let mut ask = Pipeline::new();
                for stream in streams {
                    ask.cmd("XLEN").arg(stream);
                }
                lengths.extend(self.send(&ask).await?.iter().map(|answer| match answer {
                    Value::Int(length) => u64::try_from(*length).ok(),
                    _ => None,
                }));
            }
            Ok(lengths)
        })
    }

    fn holds<'a>(
        &'a self,
        entries: &'a [(String, EntryId)],
        bytes: u64,
    ) -> BoxFuture<'a, Result<(Vec<Predecessor>, u64), Error>> {
        Box::pin(async move {
            let (mut held, mut brought, mut pages) = (Vec::new(), 0, 0);
            for entries in entries.chunks(PLANNED_AT_ONCE) {
                let asked: Vec<_> = entries
                    .iter()
                    .map(|(stream, id)| (stream.as_str(), Some(*id)))
                    .collect();
                let weights: Vec<Weight> = self.weigh(&asked).await?;
                let mut done = 0;
                while done < entries.len() {
                    if brought >= bytes || pages >= PAGES_AT_MOST {
                        return Ok((held, brought));
                    }
                    let page = weigh::page(&weights[done..], PAGE_BYTES.min(bytes - brought));
                    let (found, more) = self.ask_for(&entries[done..done + page]).await?;
                    held.extend(found);
                    (done, brought, pages) = (done + page, brought + more, pages + 1);
                }
            }
            Ok((held, brought))
        })
    }
}

impl Connection {
    async fn ask_for(&self, entries: &[(String, EntryId)]) -> Result<(Vec<Predecessor>, u64), Error> {
        let mut ask = Pipeline::new();
        for (stream, id) in entries {
            ask.cmd("XRANGE")
                .arg(stream)
                .arg(id.to_string())
                .arg(id.to_string());
        }
        let answers = self.send(&ask).await?;
        let mut brought = 0;
        for ((stream, id), answer) in entries.iter().zip(&answers) {
            let bytes = weigh::bytes_of(answer);
            self.known.keep(stream, *id, bytes);
            brought += bytes;
        }
        let held: Result<Vec<Predecessor>, Error> = answers
            .iter()
            .map(|answer| match found(answer) {
                Ok(true) => Ok(Predecessor::Present),
                Ok(false) => Ok(Predecessor::Missing),
                Err(Refusal::Stream(why)) => Ok(Predecessor::Unreadable(why)),
                Err(Refusal::Unfit(why)) => Err(Error::new(Kind::SinkUnfit, why)),
                Err(refusal) => Err(Error::new(Kind::SinkDown, format!("{refusal:?}"))),
            })
            .collect();
        Ok((held?, brought))
    }
}

/// The same transaction as commands of the driver. The fields move out of the parcel: its ids are all that is needed afterwards.
fn transaction(parcel: &mut Parcel, replicas: Option<&Replicas>) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(parcel.entries.len() + 7);
    pipeline.cmd("MULTI");
    pack::look_before(&mut pipeline, parcel);
    for entry in &mut parcel.entries {
        let command = pipeline.cmd("XADD").arg(&parcel.stream).arg(entry.id.to_string());
        let id = entry.event_id();
        let fields = Vec::new();
        for (field, value) in std::mem::replace(&mut entry.fields, Fields::Each { id, fields }).into_each() {
            command.arg(field).arg(value);
        }
    }
    pack::mark_behind(&mut pipeline, parcel, replicas);
    pipeline
}

/// Moves a mark: length 1, and an id that a zombie of an earlier batch cannot overwrite.
pub(super) fn mark_command(pipeline: &mut Pipeline, key: &str, mark: &Mark) {
    pipeline
        .cmd("XADD")
        .arg(key)
        .arg("MAXLEN")
        .arg(1)
        .arg(format!("{}-0", mark.batch_id));
    pipeline
        .arg("database")
        .arg(&mark.database_id)
        .arg("epoch")
        .arg(mark.epoch)
        .arg("retention")
        .arg(mark.retention);
}

fn already_there(parcel: &Parcel, entry: &Entry, stored: &HashMap<EntryId, String>) -> Answer {
    let (stream, id, event_id) = (&parcel.stream, entry.id, entry.event_id());
    match stored.get(&id) {
        Some(found) if *found == event_id => Answer::Repeated,
        Some(found) => Answer::Lost(format!(
            "stream {stream} holds event {found} under {id} where event {event_id} belongs: somebody else writes to it"
        )),
        None if id < parcel.floor => Answer::Repeated,
        None => Answer::Lost(format!(
            "stream {stream} refuses {id} as too old and does not hold it: entries were deleted or a newer copy was restored"
        )),
    }
}

fn found(answer: &Value) -> Result<bool, Refusal> {
    match answer {
        Value::Array(entries) => Ok(!entries.is_empty()),
        Value::ServerError(error) => Err(reply::read(error)),
        _ => Ok(false),
    }
}

/// A stream that does not say is asked again by whatever is sent to it; an entry without a predecessor is not of a relay.
fn read_top(answer: Value) -> Option<Top> {
    let Value::Array(mut entries) = answer else {
        return None;
    };
    let (id, event) = event_of(entries.pop()?)?;
    event.previous_id?;
    Some(Top {
        id,
        event_id: event.id,
    })
}

/// An entry with the id of its event, if it is of a relay.
fn read_passed(entry: Value) -> Option<(EntryId, Option<String>)> {
    let id = super::value::entry_id(&entry)?;
    let event = event_of(entry).map(|(_, event)| event);
    let ours = event.filter(|event| event.previous_id.is_some());
    Some((id, ours.map(|event| event.id)))
}

fn stored_entry(entry: Value) -> Option<(EntryId, String)> {
    event_of(entry).map(|(id, event)| (id, event.id))
}

fn event_of(entry: Value) -> Option<(EntryId, Event)> {
    let Value::Array(parts) = entry else { return None };
    let [id, Value::Array(flat)] = parts.as_slice() else {
        return None;
    };
    let fields: Vec<(Vec<u8>, Vec<u8>)> = flat
        .chunks_exact(2)
        .filter_map(|pair| Some((bytes(&pair[0])?, bytes(&pair[1])?)))
        .collect();
    let event = envelope::decode_entry(&fields).ok()?;
    Some((text(id)?.parse().ok()?, event))
}

/// What an answer says about the mark under `key`. An answer that says nothing is never taken for "no mark": that would
/// let a second database, or one that went back in time, publish.
pub(super) fn read_mark(answer: &Value, key: &str) -> Result<Marked, Error> {
    match answer {
        Value::Array(entries) => Ok(match entries.first() {
            None => Marked::Never,
            Some(entry) => parse_mark(entry).map_or_else(
                || Marked::Unreadable(format!("{key} is not a mark of ours; remove or rename the key")),
                Marked::By,
            ),
        }),
        Value::ServerError(error) => match reply::read(error) {
            Refusal::Stream(why) => Ok(Marked::Unreadable(format!("{key}: {why}"))),
            Refusal::Unfit(why) => Err(Error::new(Kind::SinkUnfit, why)),
            refusal => Err(Error::new(Kind::SinkDown, format!("{refusal:?}"))),
        },
        _ => Err(Error::new(
            Kind::SinkDown,
            "Redis gave an unknown answer about a mark",
        )),
    }
}

fn parse_mark(entry: &Value) -> Option<Mark> {
    let Value::Array(parts) = entry else {
        return None;
    };
    let [id, Value::Array(flat)] = parts.as_slice() else {
        return None;
    };
    let id: EntryId = text(id)?.parse().ok()?;
    let field = |name: &str| {
        flat.chunks_exact(2)
            .find(|pair| text(&pair[0]).as_deref() == Some(name))
            .and_then(|pair| text(&pair[1]))
    };
    Some(Mark {
        batch_id: id.batch_id,
        database_id: field("database")?,
        epoch: field("epoch")?.parse().ok()?,
        // Not there in a mark of an older relay.
        retention: field("retention")
            .and_then(|seconds| seconds.parse().ok())
            .unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The names of the commands that a parcel of two entries is sent as, by either way of packing them.
    fn commands(predecessor: EntryId, replicas: Option<&Replicas>) -> Vec<String> {
        let mut page = envelope::Page::default();
        page.write(&Event::new("e", "/é", "t").view());
        let mut parcel = Parcel {
            stream: "outbox:t".to_owned(),
            mark: (
                "outbox:@mark:t".to_owned(),
                Mark {
                    batch_id: 2,
                    database_id: "d".to_owned(),
                    epoch: 1,
                    retention: 0,
                },
            ),
            predecessor,
            floor: EntryId::MIN,
            entries: vec![
                Entry {
                    id: EntryId::new(2, 1),
                    fields: Fields::Each {
                        id: "e".to_owned(),
                        fields: vec![
                            ("id".to_owned(), b"e\r\n\0".to_vec()),
                            ("data".to_owned(), Vec::new()),
                        ],
                    },
                },
                Entry {
                    id: EntryId::new(1_795_000_000_000, u64::MAX),
                    fields: Fields::Written {
                        event: page.take().next().expect("what was written"),
                        previous: EntryId::new(2, 1),
                        id: uuid::Uuid::nil(),
                    },
                },
            ],
        };
        let mut packed = Vec::new();
        let count = pack::pack(&parcel, replicas, &mut packed);
        let pipeline = transaction(&mut parcel, replicas);
        assert_eq!(
            (count, String::from_utf8_lossy(&packed)),
            (
                pipeline.len(),
                String::from_utf8_lossy(&pipeline.get_packed_pipeline())
            )
        );
        pipeline
            .cmd_iter()
            .filter_map(|command| match command.args_iter().next() {
                Some(redis::Arg::Simple(name)) => Some(String::from_utf8_lossy(name).into_owned()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn waiting_for_replicas_costs_nothing_where_nobody_asks_for_it() {
        let off = ["MULTI", "XREVRANGE", "XADD", "XADD", "XADD", "EXEC"];
        assert_eq!(commands(EntryId::MIN, None), off);
        let behind = ["MULTI", "XREVRANGE", "XRANGE", "XADD", "XADD", "XADD", "EXEC"];
        assert_eq!(commands(EntryId::new(1, 1), None), behind);
        let one = Replicas {
            count: 1,
            within: Duration::from_secs(1),
            key: "outbox:@replicas".to_owned(),
        };
        let on = [
            "MULTI",
            "XREVRANGE",
            "XADD",
            "XADD",
            "XADD",
            "SET",
            "EXEC",
            "WAIT",
        ];
        assert_eq!(commands(EntryId::MIN, Some(&one)), on);
    }
}
