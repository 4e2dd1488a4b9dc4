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

    /// A pattern that every mark matches, also those of other writers.
    #[must_use]
    pub fn any_mark(&self) -> String {
        let mut pattern = String::with_capacity(self.prefix.len() + 8);
        for c in self.prefix.chars() {
            if matches!(c, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push_str("@mark:*");
        pattern
    }

    /// The stream whose mark has this key; none if it is of another writer, or no mark.
    #[must_use]
    pub fn marked(&self, key: &str) -> Option<StreamId> {
        let rest = key.strip_prefix(&self.prefix)?.strip_prefix("@mark:")?;
        let name = match &self.writer {
            Some(writer) => rest.strip_suffix(writer)?.strip_suffix('@')?,
            None => rest,
        };
        if name.is_empty() || name.contains('@') {
            return None;
        }
        Some(match name.split_once(':') {
            Some((topic, partition)) => StreamId {
                topic: topic.to_owned(),
                partition: Some(partition.parse().ok()?),
            },
            None => StreamId::whole(name),
        })
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
        // And a mark says which stream it is beside.
        for (names, stream) in [(&names, &placed), (&named, &third)] {
            assert_eq!(names.marked(&names.mark(stream)).as_ref(), Some(stream));
        }
        assert_eq!(names.marked(&named.mark(&third)), None);
        assert_eq!(names.marked("outbox:@mark:t@eu"), None);
        assert_eq!(named.marked("p:@mark:t@us"), None);
        assert_eq!(names.marked("outbox:t"), None);
        assert_eq!(StreamName::new("a*[b", None).any_mark(), "a\\*\\[b@mark:*");
    }
}
