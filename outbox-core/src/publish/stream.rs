//! Pure: what a stream and its mark are called at the sink.
//!
//! `<prefix><topic>`, or `<prefix><topic>:<partition>` where a topic has partitions, either with `@<writer>` behind it where
//! the topic has several writing databases. The mark of a stream is `<prefix>@mark:<topic>[:<partition>][@<writer>]`: no topic
//! contains `@` or `:`, so it never meets a stream. Neither does the layout of a topic with partitions,
//! `<prefix>@layout:<topic>[@<writer>]`.

use crate::tail::StreamId;

/// Names for one prefix and writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamName {
    prefix: String,
    writer: Option<String>,
}

impl StreamName {
    /// `prefix` is put before every key; `writer` separates several writing databases of one topic.
    #[must_use]
    pub fn new(prefix: impl Into<String>, writer: Option<String>) -> Self {
        Self {
            prefix: prefix.into(),
            writer,
        }
    }

    /// The key of a stream.
    #[must_use]
    pub fn key(&self, stream: &StreamId) -> String {
        self.with_writer(format!("{}{stream}", self.prefix))
    }

    /// The key of a stream's mark: who published last.
    #[must_use]
    pub fn mark(&self, stream: &StreamId) -> String {
        self.with_writer(format!("{}@mark:{stream}", self.prefix))
    }

    /// The key that says how many partitions a topic has.
    #[must_use]
    pub fn layout(&self, topic: &str) -> String {
        self.with_writer(format!("{}@layout:{topic}", self.prefix))
    }

    fn with_writer(&self, key: String) -> String {
        match &self.writer {
            Some(writer) => format!("{key}@{writer}"),
            None => key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_never_meets_a_stream() {
        let names = StreamName::new("outbox:", None);
        let placed = StreamId::whole("orders.placed");
        assert_eq!(names.key(&placed), "outbox:orders.placed");
        assert_eq!(names.mark(&placed), "outbox:@mark:orders.placed");
        let named = StreamName::new("p:", Some("eu".to_owned()));
        let third = StreamId {
            topic: "t".to_owned(),
            partition: Some(2),
        };
        assert_eq!(named.key(&third), "p:t:2@eu");
        assert_eq!(named.mark(&third), "p:@mark:t:2@eu");
        assert_eq!(named.layout("t"), "p:@layout:t@eu");
    }
}
