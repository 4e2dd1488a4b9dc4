//! The streams of a topic that grows, written as the relay writes them, and a member that notes what it applies.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use outbox_core::consume::Builder;
use outbox_core::event::EntryId;
use redis::Pipeline;
use redis::aio::MultiplexedConnection;
use serde_json::json;
use system_tests::Result;

use super::bench::{Bench, Order, TOPIC, recorded};

/// Writes one flow: a topic, perhaps of a writer.
pub(crate) struct Writer {
    redis: MultiplexedConnection,
    writer: Option<&'static str>,
    /// Partitions and first batch, per generation.
    layout: Vec<(u32, u64)>,
    batch: u64,
    position: u64,
    tops: HashMap<String, EntryId>,
    numbers: HashMap<String, i64>,
}

impl Writer {
    /// Of a topic that was made with so many partitions.
    pub(crate) async fn new(bench: &Bench, partitions: u32) -> Result<Self> {
        Self::of(bench, None, partitions).await
    }

    pub(crate) async fn of(bench: &Bench, writer: Option<&'static str>, partitions: u32) -> Result<Self> {
        let mut this = Self {
            redis: bench.redis.clone(),
            writer,
            layout: vec![(partitions, 0)],
            batch: 100,
            position: 0,
            tops: HashMap::new(),
            numbers: HashMap::new(),
        };
        if partitions > 1 {
            this.set_layout().await?;
        }
        Ok(this)
    }

    /// The key of the stream of a partition of the newest generation.
    pub(crate) fn stream(&self, partition: u32) -> String {
        self.stream_of(self.layout.len() - 1, partition)
    }

    fn stream_of(&self, generation: usize, partition: u32) -> String {
        let number = match self.layout[generation].0 {
            1 => String::new(),
            _ => format!(":{partition}"),
        };
        let writer = self.writer.map(|writer| format!("@{writer}")).unwrap_or_default();
        format!("outbox:{TOPIC}{number}{writer}")
    }

    /// Where a key lives now. Consumers do not compute it: any stable choice does.
    pub(crate) fn partition_of(&self, key: &str) -> u32 {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        (hasher.finish() % u64::from(self.layout[self.layout.len() - 1].0)) as u32
    }

    /// A key that lives in this partition.
    pub(crate) fn key_in(&self, partition: u32) -> String {
        (0..)
            .map(|n| format!("key-{n}"))
            .find(|key| self.partition_of(key) == partition)
            .unwrap_or_default()
    }

    /// Puts the next event of each of these keys on its stream, as one batch.
    pub(crate) async fn put(&mut self, keys: &[&str]) -> Result {
        self.batch += 1;
        let mut pipe = redis::pipe();
        for key in keys {
            self.position += 1;
            let number = self.numbers.entry((*key).to_owned()).or_default();
            *number += 1;
            let event = json!({
                "specversion": "1.0", "id": format!("{key}-{number}"), "source": "/shop", "type": TOPIC,
                "partitionkey": key, "recordedtime": recorded(), "data": {"number": number},
            });
            let stream = self.stream(self.partition_of(key));
            let id = EntryId::new(self.batch, self.position);
            self.add(&mut pipe, &stream, id, event);
        }
        Ok(pipe.query_async::<()>(&mut self.redis).await?)
    }

    /// Lets the topic have so many partitions from now on; leaves out the last entry of the older streams.
    pub(crate) async fn grow_silently(&mut self, partitions: u32) -> Result {
        self.batch += 1;
        self.layout.push((partitions, self.batch));
        self.set_layout().await
    }

    /// The entry that ends the generation before the newest one on each of its streams.
    pub(crate) fn last_end(&self) -> String {
        EntryId::new(self.layout[self.layout.len() - 1].1, 0).to_string()
    }

    /// That entry was put on one of its streams, and Redis lost it.
    pub(crate) fn lose_end(&mut self, partition: u32) {
        let end = EntryId::new(self.layout[self.layout.len() - 1].1, 0);
        let stream = self.stream_of(self.layout.len() - 2, partition);
        self.tops.insert(stream, end);
    }

    /// Puts the entry that ends a generation on one of its streams.
    pub(crate) async fn end(&mut self, partition: u32) -> Result {
        let older = self.layout.len() - 2;
        let ((from, _), (to, batch)) = (self.layout[older], self.layout[older + 1]);
        let stream = self.stream_of(older, partition);
        let moved = json!({
            "specversion": "1.0", "id": format!("moved-{batch}-{partition}"), "source": "/outbox", "type": "outbox.moved",
            "recordedtime": recorded(),
            "data": {"topic": TOPIC, "generation": older + 1, "from": from, "to": to},
        });
        let mut pipe = redis::pipe();
        self.add(&mut pipe, &stream, EntryId::new(batch, 0), moved);
        Ok(pipe.query_async::<()>(&mut self.redis).await?)
    }

    /// Lets the topic have so many partitions, as the relay does.
    pub(crate) async fn grow(&mut self, partitions: u32) -> Result {
        let before = self.layout[self.layout.len() - 1].0;
        self.grow_silently(partitions).await?;
        for partition in 0..before {
            self.end(partition).await?;
        }
        Ok(())
    }

    /// How many events each key has.
    pub(crate) fn numbers(&self) -> &HashMap<String, i64> {
        &self.numbers
    }

    /// How many events there are.
    pub(crate) fn total(&self) -> i64 {
        self.numbers.values().sum()
    }

    async fn set_layout(&mut self) -> Result {
        let generation = |(partitions, batch): &(u32, u64)| format!("{partitions}@{batch}");
        let layout: Vec<String> = self.layout.iter().map(generation).collect();
        let writer = self.writer.map(|writer| format!("@{writer}")).unwrap_or_default();
        let mut command = redis::cmd("SET");
        command
            .arg(format!("outbox:@layout:{TOPIC}{writer}"))
            .arg(layout.join(","));
        Ok(command.query_async::<()>(&mut self.redis).await?)
    }

    fn add(&mut self, pipe: &mut Pipeline, stream: &str, id: EntryId, mut event: serde_json::Value) {
        let previous = self.tops.insert(stream.to_owned(), id).unwrap_or(EntryId::MIN);
        event["previousid"] = json!(previous.to_string());
        let command = pipe.cmd("XADD").arg(stream).arg(id.to_string());
        command.arg("event").arg(event.to_string()).ignore();
    }
}

/// A member under a name, that notes what it applies.
pub(crate) fn noting(builder: Builder, name: &'static str) -> Builder {
    builder.member(name).on(TOPIC, move |tx, event| {
        Box::pin(async move {
            let order: Order = event.json()?;
            let insert = sqlx::query("insert into effect (key, number, member) values ($1, $2, $3)");
            insert
                .bind(&event.key)
                .bind(order.number)
                .bind(name)
                .execute(tx)
                .await?;
            Ok(())
        })
    })
}

/// Fails unless every event had one effect, in the order of its key.
pub(crate) async fn assert_all_in_order(bench: &Bench, writer: &Writer) -> Result {
    let effects: Vec<(String, i64)> = sqlx::query_as("select key, number from effect order by n")
        .fetch_all(&bench.pool)
        .await?;
    let mut seen: HashMap<String, Vec<i64>> = HashMap::new();
    for (key, number) in effects {
        seen.entry(key).or_default().push(number);
    }
    for (key, count) in writer.numbers() {
        let numbers = seen.remove(key).unwrap_or_default();
        assert_eq!(numbers, (1..=*count).collect::<Vec<_>>(), "effects of {key}");
    }
    assert!(seen.is_empty(), "effects that nobody put there: {seen:?}");
    Ok(())
}
