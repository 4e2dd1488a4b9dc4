//! The streams of a topic: one of the topic itself and one per writing service. Pure.

/// What separates a topic from its writer in a stream's key; it occurs in neither.
const WRITER: char = '@';

/// One stream that a consumer reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stream {
    /// Its key in Redis.
    pub key: String,
    /// The topic whose handler applies it.
    pub topic: String,
}

impl Stream {
    /// The stream of a topic with one writer.
    #[must_use]
    pub fn of_topic(prefix: &str, topic: &str) -> Self {
        Self {
            key: format!("{prefix}{topic}"),
            topic: topic.to_owned(),
        }
    }

    /// The stream of one writer of a topic.
    #[must_use]
    pub fn of_writer(prefix: &str, topic: &str, writer: &str) -> Self {
        Self {
            key: format!("{prefix}{topic}{WRITER}{writer}"),
            topic: topic.to_owned(),
        }
    }

    /// What a key found by its prefix is. The relay's marks and other topics are none of ours.
    #[must_use]
    pub fn parse(prefix: &str, topics: &[&str], key: &str) -> Option<Self> {
        let rest = key.strip_prefix(prefix)?;
        let (topic, writer) = rest.split_once(WRITER)?;
        let is_name = |text: &str| {
            !text.is_empty()
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        };
        (topics.contains(&topic) && is_name(writer)).then(|| Self {
            key: key.to_owned(),
            topic: topic.to_owned(),
        })
    }
}

/// The pattern for SCAN that finds the streams of writers; a prefix may hold characters that a pattern means otherwise.
#[must_use]
pub(super) fn pattern(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 4);
    for character in prefix.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('*');
    pattern.push(WRITER);
    pattern.push('*');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_writers_of_our_topics_are_ours() {
        let topics = ["orders.placed", "orders.paid"];
        let parse = |key| Stream::parse("outbox:", &topics, key);
        assert_eq!(
            parse("outbox:orders.placed@shop-2"),
            Some(Stream::of_writer("outbox:", "orders.placed", "shop-2"))
        );
        assert_eq!(parse("outbox:@mark:orders.placed"), None, "a mark of the relay");
        assert_eq!(parse("outbox:orders.placed"), None, "known without looking");
        assert_eq!(parse("outbox:orders.lost@shop"), None, "another topic");
        assert_eq!(parse("outbox:orders.placed@"), None);
        assert_eq!(parse("outbox:orders.placed@a:b"), None);
        assert_eq!(parse("other:orders.placed@shop"), None);
    }

    #[test]
    fn a_prefix_is_taken_literally() {
        assert_eq!(pattern("outbox:"), "outbox:*@*");
        assert_eq!(pattern("a[1]*:"), "a\\[1\\]\\*:*@*");
    }
}
