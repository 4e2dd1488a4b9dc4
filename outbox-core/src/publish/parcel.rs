//! Pure: the rows at the head of a lane as a parcel for its stream.
//!
//! Each entry names its predecessor: the one before it in the parcel, or the entry last put on the stream.

use super::retention::Retentions;
use super::sink::{Entry, Fields, Mark, Parcel};
use super::{Mode, Options, StreamName};
use crate::event::envelope::{self, EVENT_FIELD};
use crate::event::{EntryId, Event};
use crate::publish::lane::Lane;
use crate::tail::row::{Content, Row};

/// Who publishes.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    pub(super) names: StreamName,
    pub(super) database_id: String,
    pub(super) epoch: i64,
    pub(super) retentions: Retentions,
}

/// What the head of a lane becomes.
#[derive(Debug)]
pub(super) enum Packed {
    /// A parcel.
    Parcel(Parcel),
    /// The first event is larger than the sink takes.
    TooLarge {
        /// Bytes of its entry.
        bytes: usize,
    },
    /// The first event is none, and no sink will ever take it.
    Broken {
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Packs the head of `lane`; none if it holds nothing.
pub(super) fn pack(lane: &Lane, publisher: &Publisher, options: &Options) -> Option<Packed> {
    let (batch_id, rows) = lane.head(options.parcel_rows, options.parcel_bytes)?;
    let mut entries = Vec::new();
    let mut previous = lane.chain;
    for row in rows {
        let entry = match entry(row, batch_id, previous, options.mode) {
            Ok(entry) => entry,
            Err(why) if entries.is_empty() => return Some(Packed::Broken { why }),
            Err(_) => break,
        };
        let bytes = entry.bytes();
        if bytes > options.max_entry_bytes {
            if entries.is_empty() {
                return Some(Packed::TooLarge { bytes });
            }
            // What precedes it goes out; then it is the first.
            break;
        }
        previous = entry.id;
        entries.push(entry);
    }
    let mark = Mark {
        batch_id,
        database_id: publisher.database_id.clone(),
        epoch: publisher.epoch,
        retention: publisher.retentions.of(&lane.stream.topic),
    };
    Some(Packed::Parcel(Parcel {
        stream: publisher.names.key(&lane.stream),
        mark: (publisher.names.mark(&lane.stream), mark),
        predecessor: lane.predecessor(),
        floor: lane.floor,
        entries,
    }))
}

/// One row as an entry of its stream, or why it can be none. One that was written when it was read is an entry of structured mode.
pub(crate) fn entry(row: &Row, batch_id: u64, previous: EntryId, mode: Mode) -> Result<Entry, &'static str> {
    let id = EntryId {
        batch_id,
        position: row.position.unsigned_abs(),
    };
    let fields = match &row.content {
        Content::Written { event, id, .. } => Fields::Written {
            event: event.clone(),
            previous,
            id: *id,
        },
        Content::Event(event) => Fields::Each {
            id: event.id.clone(),
            fields: fields(event, previous, mode),
        },
        Content::Broken { why, .. } => return Err(why),
    };
    Ok(Entry { id, fields })
}

fn fields(event: &Event, previous: EntryId, mode: Mode) -> Vec<(String, Vec<u8>)> {
    let mut view = event.view();
    view.previous_id = Some(previous);
    match mode {
        Mode::Structured => {
            let mut json = Vec::new();
            envelope::write_structured(&view, &mut json);
            vec![(EVENT_FIELD.to_owned(), json)]
        }
        Mode::Binary => envelope::binary_fields(&view),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::publish::lane::{Place, Portion};
    use crate::tail::StreamId;

    fn lane(sizes: &[usize]) -> Lane {
        let target = Place {
            batch_number: 1,
            position: 100,
        };
        let mut lane = Lane::new(
            StreamId::whole("t"),
            Place::default(),
            EntryId {
                batch_id: 5,
                position: 2,
            },
            target,
        );
        let rows = sizes.iter().enumerate().map(|(n, size)| {
            let mut event = Event::new(format!("e{n}"), "/s", "t");
            event.subject = Some("x".repeat(*size));
            Row {
                position: 10 + n as i64,
                stream: Arc::new(StreamId::whole("t")),
                content: Content::Event(Box::new(event)),
                bytes: *size,
            }
        });
        lane.hold(Portion {
            batch_number: 1,
            batch_id: 9,
            rows: rows.collect(),
            is_again: false,
        });
        lane
    }

    fn packed(lane: &Lane, options: &Options) -> Packed {
        let publisher = Publisher {
            names: StreamName::new("outbox:", None),
            database_id: "d".to_owned(),
            epoch: 1,
            retentions: Retentions::default(),
        };
        pack(lane, &publisher, options).expect("the lane holds rows")
    }

    #[test]
    fn every_entry_names_the_one_before_it() {
        let Packed::Parcel(parcel) = packed(&lane(&[1, 1]), &Options::default()) else {
            panic!("a parcel")
        };
        assert_eq!(
            parcel.predecessor,
            EntryId {
                batch_id: 5,
                position: 2
            }
        );
        assert_eq!(
            parcel.entries[1].id,
            EntryId {
                batch_id: 9,
                position: 11
            }
        );
        let [(_, json)] = &parcel.entries[1].clone().into_fields()[..] else {
            panic!("one field")
        };
        let text = String::from_utf8_lossy(json);
        assert!(text.contains(r#""previousid":"9-10""#), "{text}");
    }

    #[test]
    fn an_event_that_is_too_large_waits_until_it_is_the_first() {
        let options = Options {
            max_entry_bytes: 1_000,
            ..Options::default()
        };
        let Packed::Parcel(parcel) = packed(&lane(&[1, 5_000, 1]), &options) else {
            panic!("a parcel")
        };
        assert_eq!(parcel.entries.len(), 1);
        assert!(matches!(packed(&lane(&[5_000, 1]), &options), Packed::TooLarge { bytes } if bytes > 5_000));
    }
}
