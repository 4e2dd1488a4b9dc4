//! A reader of a topic that knows nothing but `docs/wire-format.md`: the layout's key, streams by their names, and the rule that
//! nothing of a generation is read before the one before was read to its end.

use std::collections::BTreeMap;

use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use uuid::Uuid;

use crate::stream::{self, Entry, EntryId};
use crate::{Failure, Result};

/// How many entries of a stream it takes at a time: few, so that streams are read in turns.
const TURN: usize = 200;

/// A topic on its way through one reader.
#[derive(Debug)]
pub struct PlainReader {
    topic: String,
    generation: usize,
    cursors: BTreeMap<String, EntryId>,
    read: Vec<Uuid>,
}

/// Partitions and first batch id of each generation.
pub type Generations = Vec<(u16, u64)>;

/// What the key of the layout says; one stream without a number when there is none.
///
/// # Errors
/// When Redis does not answer or the key is not a layout.
pub async fn layout(redis: &mut MultiplexedConnection, topic: &str) -> Result<Generations> {
    let text: Option<String> = redis::cmd("GET")
        .arg(format!("outbox:@layout:{topic}"))
        .query_async(redis)
        .await?;
    let text = text.unwrap_or_else(|| "1@0".to_owned());
    let generation = |part: &str| {
        let (partitions, batch) = part.split_once('@')?;
        Some((partitions.parse().ok()?, batch.parse().ok()?))
    };
    let parsed: Option<Generations> = text.split(',').map(generation).collect();
    parsed.ok_or_else(|| Failure::new(format!("{text:?} is no layout")))
}

impl PlainReader {
    /// A reader at the beginning of a topic.
    #[must_use]
    pub fn new(topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            generation: 0,
            cursors: BTreeMap::new(),
            read: Vec::new(),
        }
    }

    /// The events that were read, in that order.
    #[must_use]
    pub fn read(&self) -> &[Uuid] {
        &self.read
    }

    /// Takes one turn: a few entries of each stream of the generation it is in, and the next generation when that one is over.
    ///
    /// # Errors
    /// When Redis does not answer, or a stream goes on behind its end.
    pub async fn turn(&mut self, redis: &mut MultiplexedConnection) -> Result {
        let generations = layout(redis, &self.topic).await?;
        let end = generations
            .get(self.generation + 1)
            .map(|(_, batch)| EntryId(*batch, 0));
        let streams = names(&self.topic, generations[self.generation].0);
        // Before the streams are read: what is not there then will not come any more.
        let has_begun = match generations.get(self.generation + 1) {
            Some((partitions, batch)) => has_entries(redis, &names(&self.topic, *partitions), *batch).await?,
            None => false,
        };
        let mut over = true;
        for key in streams {
            let passed = self.take(redis, &key, end).await?;
            let is_over = end.is_some_and(|end| passed.is_some_and(|passed| passed >= end))
                || has_begun && stream::length(redis, &key).await? == 0;
            over &= is_over;
        }
        self.generation += usize::from(over && end.is_some());
        Ok(())
    }

    /// Reads on one stream, up to the end of its generation. Returns the entry read last.
    async fn take(
        &mut self,
        redis: &mut MultiplexedConnection,
        key: &str,
        end: Option<EntryId>,
    ) -> Result<Option<EntryId>> {
        let cursor = self.cursors.get(key).copied();
        let page: StreamRangeReply = redis::cmd("XRANGE")
            .arg(key)
            .arg(cursor.map_or("-".to_owned(), |cursor| format!("({cursor}")))
            .arg(end.map_or("+".to_owned(), |end| end.to_string()))
            .arg("COUNT")
            .arg(TURN)
            .query_async(redis)
            .await?;
        for entry in stream::parse_page(key, &page)? {
            let Entry { id, event_id, .. } = entry;
            self.cursors.insert(key.to_owned(), id);
            if entry.is_control() {
                // What follows is of a generation that the layout may not have said when it was read: it is read again first.
                break;
            }
            self.read.push(event_id);
        }
        Ok(self.cursors.get(key).copied())
    }
}

/// The streams of a topic of so many partitions.
#[must_use]
pub fn names(topic: &str, partitions: u16) -> Vec<String> {
    match partitions {
        1 => vec![format!("outbox:{topic}")],
        _ => (0..partitions).map(|n| format!("outbox:{topic}:{n}")).collect(),
    }
}

/// Whether one of these streams has an entry behind a batch's own.
async fn has_entries(redis: &mut MultiplexedConnection, keys: &[String], batch: u64) -> Result<bool> {
    for key in keys {
        let page: StreamRangeReply = redis::cmd("XRANGE")
            .arg(key)
            .arg(format!("({batch}-0"))
            .arg("+")
            .arg("COUNT")
            .arg(1)
            .query_async(redis)
            .await?;
        if !page.ids.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}
