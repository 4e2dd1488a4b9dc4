//! Pure: what a stream and its mark are called at the sink.
//!
//! `<prefix><topic>`, or `<prefix><topic>@<writer>` where a topic has several writing databases. The mark of a stream is
//! `<prefix>@mark:<topic>[@<writer>]`: no topic contains `@` or `:`, so it never meets a stream.

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

    /// The key of a topic's stream.
    #[must_use]
    pub fn key(&self, topic: &str) -> String {
        self.with_writer(format!("{}{topic}", self.prefix))
    }

    /// The key of a stream's mark: who published last.
    #[must_use]
    pub fn mark(&self, topic: &str) -> String {
        self.with_writer(format!("{}@mark:{topic}", self.prefix))
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
        assert_eq!(names.key("orders.placed"), "outbox:orders.placed");
        assert_eq!(names.mark("orders.placed"), "outbox:@mark:orders.placed");
        let named = StreamName::new("p:", Some("eu".to_owned()));
        assert_eq!(named.key("t"), "p:t@eu");
        assert_eq!(named.mark("t"), "p:@mark:t@eu");
    }
}
