//! Pure: from which batch on a topic has how many partitions.
//!
//! A layout only grows, one generation after the other; generation 0 is one stream without a number. A generation begins with
//! a row of the ledger. If something was on the streams before, that row is also their last entry of the generation before:
//! an event of our own, [`MOVED`], with position 0, which no event of the log has. Whoever reads has passed a generation when
//! it has passed that entry on each of its streams.

use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::row::{Content, Row};
use super::stream::StreamId;
use crate::event::{Data, Event};

/// The type of the entry that says that a topic moved on to more partitions.
pub const MOVED: &str = "outbox.moved";

/// The source of the relay's own entries.
pub const SOURCE: &str = "/outbox";

/// A change of the number of partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its number, from 1 on.
    pub number: i32,
    /// How many partitions there are from here on.
    pub partitions: u16,
    /// The batch that it begins with: later ones are of it.
    pub batch_id: u64,
    /// Whether the streams before it were in use: each then has an entry that says that the topic moved on.
    pub moved: bool,
}

/// What one topic has had so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    generations: Vec<Generation>,
}

impl Layout {
    /// Takes the next generation over; one that is known already changes nothing.
    pub fn grow(&mut self, generation: Generation) {
        if self
            .generations
            .last()
            .is_none_or(|last| last.number < generation.number)
        {
            self.generations.push(generation);
        }
    }

    /// How many partitions there are now.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        self.generations.last().map_or(1, |last| last.partitions)
    }

    /// The moves from one generation to the next: the batch that says so, and the streams of the generation before.
    pub fn moves(&self, topic: &str) -> impl Iterator<Item = (u64, Vec<StreamId>)> {
        let before =
            std::iter::once(1).chain(self.generations.iter().map(|generation| generation.partitions));
        let moves = self.generations.iter().zip(before).filter(|(next, _)| next.moved);
        moves.map(|(next, before)| (next.batch_id, streams(topic, before)))
    }
}

/// The streams of a topic of so many partitions.
#[must_use]
pub fn streams(topic: &str, partitions: u16) -> Vec<StreamId> {
    if partitions <= 1 {
        return vec![StreamId::whole(topic)];
    }
    let numbered = |partition| StreamId {
        topic: topic.to_owned(),
        partition: Some(partition),
    };
    (0..partitions).map(numbered).collect()
}

/// As it is kept at the sink: `1@0,4@1790000000000`, partitions and first batch id of each generation.
impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("1@0")?;
        for generation in &self.generations {
            write!(f, ",{}@{}", generation.partitions, generation.batch_id)?;
        }
        Ok(())
    }
}

/// A topic has more partitions from a batch on that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Laid {
    /// The topic.
    pub topic: String,
    /// What begins.
    pub generation: Generation,
    /// How many partitions there were before.
    pub before: u16,
    /// When.
    pub at: OffsetDateTime,
}

impl Laid {
    /// The entry that is the last one of the generation before on one of its streams: the same, however often and by whomever
    /// it is made.
    #[must_use]
    pub fn row(&self, stream: &StreamId, database_id: &str) -> Row {
        // Nothing in it needs escaping: a topic is of letters, digits, dots, hyphens and underscores.
        let data = format!(
            r#"{{"topic":"{}","generation":{},"from":{},"to":{}}}"#,
            self.topic, self.generation.number, self.before, self.generation.partitions
        );
        let mut event = Event::new(self.event_id(stream, database_id), SOURCE, MOVED);
        event.time = Some(self.at);
        event.recorded_at = Some(self.at);
        event.data_content_type = Some("application/json".to_owned());
        event.data = RawValue::from_string(data).ok().map(Data::Json);
        Row {
            position: 0,
            stream: Arc::new(stream.clone()),
            content: Content::Event(Box::new(event)),
            bytes: 512,
        }
    }

    fn event_id(&self, stream: &StreamId, database_id: &str) -> String {
        let name = format!("{MOVED} {database_id} {stream} {}", self.generation.number);
        let digest = Sha256::digest(name.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(number: i32, partitions: u16) -> Generation {
        Generation {
            number,
            partitions,
            batch_id: 100 * u64::from(number.unsigned_abs()),
            moved: true,
        }
    }

    #[test]
    fn a_layout_tells_every_generation_and_takes_none_twice() {
        let mut layout = Layout::default();
        assert_eq!(layout.to_string(), "1@0");
        layout.grow(generation(1, 4));
        layout.grow(generation(2, 8));
        layout.grow(generation(1, 4));
        assert_eq!(layout.to_string(), "1@0,4@100,8@200");
        let moves: Vec<(u64, usize)> = layout
            .moves("t")
            .map(|(batch_id, streams)| (batch_id, streams.len()))
            .collect();
        assert_eq!(moves, [(100, 1), (200, 4)]);
    }

    #[test]
    fn the_entry_is_the_same_whoever_makes_it_and_another_on_each_stream() {
        let laid = Laid {
            topic: "orders".to_owned(),
            generation: generation(2, 8),
            before: 4,
            at: OffsetDateTime::UNIX_EPOCH,
        };
        let stream = |slot| StreamId::from_slot("orders", slot).unwrap();
        let row = laid.row(&stream(1), "d");
        assert_eq!(row.event_id(), laid.row(&stream(1), "d").event_id());
        assert_ne!(row.event_id(), laid.row(&stream(2), "d").event_id());
        assert_ne!(row.event_id(), laid.row(&stream(1), "another").event_id());
        let Content::Event(event) = &row.content else {
            panic!("an event")
        };
        assert_eq!((row.position, event.r#type.as_str()), (0, MOVED));
        let Some(Data::Json(data)) = &event.data else {
            panic!("data")
        };
        assert_eq!(data.get(), r#"{"topic":"orders","generation":2,"from":4,"to":8}"#);
    }
}
