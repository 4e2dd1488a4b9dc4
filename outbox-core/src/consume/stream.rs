//! The streams of a topic: one, or one per partition, and these once per writing service. Pure.

use std::fmt;

/// What separates a topic from its writer in a stream's key; it occurs in neither.
const WRITER: char = '@';
/// What separates a topic from the number of a partition; it occurs in neither.
const PARTITION: char = ':';
/// The most partitions a topic may have.
pub(super) const PARTITIONS_MAX: u32 = 1024;

/// A topic as one database writes it: its streams are partitions of one flow, and its keys have one order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// The topic whose handler applies it.
    pub topic: String,
    /// The writing service, where several write the topic.
    pub writer: Option<String>,
}

impl Flow {
    /// The flow of a topic with one writer.
    #[must_use]
    pub fn of_topic(topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            writer: None,
        }
    }

    /// The flow of one writer of a topic.
    #[must_use]
    pub fn of_writer(topic: &str, writer: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            writer: Some(writer.to_owned()),
        }
    }

    /// Its stream, or the one of a partition.
    #[must_use]
    pub fn stream(&self, prefix: &str, partition: Option<u32>) -> Stream {
        let mut key = format!("{prefix}{}", self.topic);
        if let Some(partition) = partition {
            key.push(PARTITION);
            key.push_str(&partition.to_string());
        }
        if let Some(writer) = &self.writer {
            key.push(WRITER);
            key.push_str(writer);
        }
        Stream {
            key,
            topic: self.topic.clone(),
            writer: self.writer.clone(),
            partition,
        }
    }

    /// The key under which the relay says which batch began which number of partitions.
    #[must_use]
    pub fn layout_key(&self, prefix: &str) -> String {
        format!("{prefix}{WRITER}layout{PARTITION}{self}")
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.topic)?;
        match &self.writer {
            Some(writer) => write!(f, "{WRITER}{writer}"),
            None => Ok(()),
        }
    }
}

/// One stream that a consumer reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    /// Its key in Redis.
    pub key: String,
    /// The topic whose handler applies it.
    pub topic: String,
    /// The writing service, where several write the topic.
    pub writer: Option<String>,
    /// Its number, where the topic has several partitions.
    pub partition: Option<u32>,
}

impl Stream {
    /// The stream of a topic with one writer and one partition.
    #[must_use]
    pub fn of_topic(prefix: &str, topic: &str) -> Self {
        Flow::of_topic(topic).stream(prefix, None)
    }

    /// The stream of one writer of a topic with one partition.
    #[must_use]
    pub fn of_writer(prefix: &str, topic: &str, writer: &str) -> Self {
        Flow::of_writer(topic, writer).stream(prefix, None)
    }

    /// The flow it is a part of.
    #[must_use]
    pub fn flow(&self) -> Flow {
        Flow {
            topic: self.topic.clone(),
            writer: self.writer.clone(),
        }
    }

    /// The number by which members share streams: a topic of one partition has number 0.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.partition.unwrap_or(0)
    }

    /// What a key found by its prefix is. The relay's own keys and other topics are none of ours.
    #[must_use]
    pub fn parse(prefix: &str, topics: &[&str], key: &str) -> Option<Self> {
        let rest = key.strip_prefix(prefix)?;
        let (rest, writer) = match rest.split_once(WRITER) {
            Some((rest, writer)) => (rest, Some(writer)),
            None => (rest, None),
        };
        let (topic, partition) = match rest.split_once(PARTITION) {
            Some((topic, number)) => (topic, Some(partition(number)?)),
            None => (rest, None),
        };
        (topics.contains(&topic) && writer.is_none_or(is_name)).then(|| Self {
            key: key.to_owned(),
            topic: topic.to_owned(),
            writer: writer.map(str::to_owned),
            partition,
        })
    }
}

fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !text.is_empty() && text.chars().all(is_part)
}

/// A number as the relay writes it: another spelling would be another stream.
fn partition(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok().filter(|number| *number < PARTITIONS_MAX)?;
    (text == number.to_string()).then_some(number)
}

/// The pattern for SCAN that finds the streams of writers.
#[must_use]
pub(super) fn pattern(prefix: &str) -> String {
    format!("{}*{WRITER}*", literal(prefix))
}

/// A pattern for SCAN that means this text: it may hold characters that a pattern means otherwise.
#[must_use]
pub(super) fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 4);
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_streams_of_our_topics_are_ours() {
        let topics = ["orders.placed", "orders.paid"];
        let parse = |key: &str| Stream::parse("outbox:", &topics, key);
        let (placed, shop) = (
            Flow::of_topic("orders.placed"),
            Flow::of_writer("orders.placed", "shop-2"),
        );
        for stream in [
            placed.stream("outbox:", None),
            placed.stream("outbox:", Some(0)),
            shop.stream("outbox:", None),
            shop.stream("outbox:", Some(11)),
        ] {
            assert_eq!(parse(&stream.key), Some(stream.clone()));
        }
        assert_eq!(
            shop.stream("outbox:", Some(11)).key,
            "outbox:orders.placed:11@shop-2"
        );
        assert_eq!(parse("outbox:@mark:orders.placed"), None, "a mark of the relay");
        assert_eq!(parse(&shop.layout_key("outbox:")), None, "a layout of the relay");
        assert_eq!(parse("outbox:orders.lost@shop"), None, "another topic");
        for key in [
            "outbox:orders.placed@",
            "outbox:orders.placed@a:b",
            "outbox:orders.placed:",
            "outbox:orders.placed:+1",
            "outbox:orders.placed:01",
            "outbox:orders.placed:1024",
            "other:orders.placed@shop",
        ] {
            assert_eq!(parse(key), None, "{key}");
        }
    }

    #[test]
    fn partitions_and_writers_are_parts_of_a_flow() {
        let flow = Flow::of_writer("orders.placed", "shop");
        assert_eq!(flow.to_string(), "orders.placed@shop");
        assert_eq!(flow.layout_key("outbox:"), "outbox:@layout:orders.placed@shop");
        assert_eq!(flow.stream("outbox:", Some(3)).flow(), flow);
        assert_eq!(Stream::of_topic("outbox:", "orders.placed").number(), 0);
    }

    #[test]
    fn a_prefix_is_taken_literally() {
        assert_eq!(pattern("outbox:"), "outbox:*@*");
        assert_eq!(pattern("a[1]*:"), "a\\[1\\]\\*:*@*");
    }
}
