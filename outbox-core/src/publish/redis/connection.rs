//! One connection to Redis: parcels, marks, and looks at what is stored.

use std::sync::Mutex;

use futures_util::future::BoxFuture;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Pipeline, Value};

use super::answers::{found, read_passed, read_top};
use super::layout::read_layout;
use super::mark::read_mark;
use super::replicas::Replicas;
use super::reply::{self, Refusal};
use super::search;
use super::socket::Socket;
use super::weigh::{self, Known, PAGE_BYTES, Weight};
use crate::event::EntryId;
use crate::publish::{Announced, Error, Kind, Marked, Parcel, Predecessor, Receipt, SinkConnection, Top};

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

/// A connection that reports its failures and does not mend them.
pub(super) struct Connection {
    pub(super) wire: Wire,
    /// Memory of commands that were sent, for the next ones.
    pub(super) sent: Mutex<Vec<Vec<u8>>>,
    pub(super) replicas: Option<Replicas>,
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
