//! Which handler an event goes to: by the topic of its stream, then by its type. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use super::handler::Handler;

/// The handlers of a consumer.
#[derive(Clone, Default)]
pub(super) struct Routes {
    topics: HashMap<String, Topic>,
}

#[derive(Clone, Default)]
struct Topic {
    any: Option<Arc<dyn Handler>>,
    by_type: HashMap<String, Arc<dyn Handler>>,
}

impl Routes {
    /// Every type on the topic that has no handler of its own. False when there was one already.
    pub(super) fn add(&mut self, topic: &str, handler: Arc<dyn Handler>) -> bool {
        self.topics
            .entry(topic.to_owned())
            .or_default()
            .any
            .replace(handler)
            .is_none()
    }

    /// One type on the topic. False when there was one already.
    pub(super) fn add_type(&mut self, topic: &str, r#type: &str, handler: Arc<dyn Handler>) -> bool {
        self.topics
            .entry(topic.to_owned())
            .or_default()
            .by_type
            .insert(r#type.to_owned(), handler)
            .is_none()
    }

    /// The handler of an event; none means that this consumer does not want it.
    pub(super) fn find(&self, topic: &str, r#type: &str) -> Option<&Arc<dyn Handler>> {
        let topic = self.topics.get(topic)?;
        topic.by_type.get(r#type).or(topic.any.as_ref())
    }

    pub(super) fn topics(&self) -> Vec<&str> {
        self.topics.keys().map(String::as_str).collect()
    }
}
