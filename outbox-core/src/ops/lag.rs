//! How far publishing is behind: what the gauges show. Pure.

/// Topics with a label of their own; the others are summed, so that metrics stay few however many topics there are.
const LABELLED_TOPICS: usize = 100;
/// The label of the others; no topic's name, since a topic of this name is summed with them.
const OTHERS: &str = "other";

/// The backlog of one topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicLag {
    /// The topic, or `other`.
    pub topic: String,
    /// Committed events that are not on the stream yet.
    pub events: i64,
    /// How long the oldest of them has waited, in seconds.
    pub oldest_age: f64,
}

/// How far publishing is behind at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Lag {
    /// Topics with a backlog, the longest first.
    pub topics: Vec<TopicLag>,
    /// Streams that wait for a person.
    pub set_aside: i64,
    /// Streams that the sink does not take now.
    pub blocked: i64,
    /// Open transactions that appended.
    pub waiting: i64,
    /// Age of the oldest of them, in seconds.
    pub waiting_age: f64,
    /// How full the notification queue is, 0 to 1.
    pub notification_queue: f64,
    /// When this was read, by the database's clock, in seconds since 1970.
    pub sampled_at: f64,
}

/// Sums the topics beyond the hundred with the longest backlog.
pub(super) fn labelled(mut topics: Vec<TopicLag>) -> Vec<TopicLag> {
    if topics.len() <= LABELLED_TOPICS {
        return topics;
    }
    let rest = topics.split_off(LABELLED_TOPICS);
    let events = rest.iter().map(|lag| lag.events).sum();
    let oldest_age = rest.iter().map(|lag| lag.oldest_age).fold(0.0, f64::max);
    topics.push(TopicLag {
        topic: OTHERS.to_owned(),
        events,
        oldest_age,
    });
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(count: i64) -> Vec<TopicLag> {
        let lag = |n| TopicLag {
            topic: format!("t{n}"),
            events: count - n,
            oldest_age: n as f64,
        };
        (0..count).map(lag).collect()
    }

    #[test]
    fn few_topics_keep_their_names() {
        assert_eq!(labelled(topics(100)), topics(100));
        assert_eq!(labelled(Vec::new()), Vec::new());
    }

    #[test]
    fn the_topics_beyond_a_hundred_are_summed() {
        let labelled = labelled(topics(103));
        assert_eq!(labelled.len(), 101);
        let others = TopicLag {
            topic: "other".to_owned(),
            events: 3 + 2 + 1,
            oldest_age: 102.0,
        };
        assert_eq!(labelled.last(), Some(&others));
    }
}
