//! Puts a parcel on its stream, and reads from the answers what came of each entry.

use std::collections::HashMap;
use std::sync::PoisonError;

use redis::{Pipeline, Value};

use super::answers::{found, stored_entry};
use super::connection::{Connection, Wire};
use super::mark::read_mark;
use super::pack;
use super::replicas::Replicas;
use super::reply::{self, Refusal};
use crate::event::EntryId;
use crate::observe;
use crate::publish::sink::foreign;
use crate::publish::{Answer, Entry, Error, Fields, Kind, Marked, Parcel, Receipt};

/// How many commands' memory is kept for the next ones, and how large it may be: an ordinary parcel, twice.
const KEPT: usize = 4;
const KEPT_BYTES: usize = 1 << 20;

impl Connection {
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

    pub(super) async fn put(&self, mut parcel: Parcel) -> Result<Receipt, Error> {
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

    pub(super) fn replicated(&self, replicas: &Replicas, said: Option<&Value>) -> Result<(), Error> {
        replicas.have_it(said).inspect_err(|_| {
            metrics::counter!(observe::PUBLISH_UNREPLICATED).increment(1);
        })
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::{Event, envelope};
    use crate::publish::Mark;

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
