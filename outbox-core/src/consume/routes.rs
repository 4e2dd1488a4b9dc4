//! Which handler an event goes to: by the topic of its stream, then by its type. Pure.

use std::collections::{HashMap, HashSet};

use super::handler::Applier;
use crate::event::Event;

/// The handlers of a consumer.
#[derive(Clone, Default)]
pub(super) struct Routes {
    topics: HashMap<String, Topic>,
}

#[derive(Clone, Default)]
struct Topic {
    any: Option<Applier>,
    by_type: HashMap<String, Applier>,
    /// Of these types, these versions only.
    versions: HashMap<String, HashSet<String>>,
}

/// Where an event goes.
pub(super) enum Route {
    /// To this handler.
    Handler(Applier),
    /// Nobody here wants its type.
    Skip,
    /// Its type is wanted, but not in this version.
    UnknownVersion,
}

impl Routes {
    /// Every type on the topic that has no handler of its own. False when there was one already.
    pub(super) fn add(&mut self, topic: &str, handler: Applier) -> bool {
        self.topic(topic).any.replace(handler).is_none()
    }

    /// One type on the topic. False when there was one already.
    pub(super) fn add_type(&mut self, topic: &str, r#type: &str, handler: Applier) -> bool {
        self.topic(topic)
            .by_type
            .insert(r#type.to_owned(), handler)
            .is_none()
    }

    /// Of a type on the topic these versions are handled, and those named before.
    pub(super) fn add_versions(
        &mut self,
        topic: &str,
        r#type: &str,
        versions: impl IntoIterator<Item = String>,
    ) {
        self.topic(topic)
            .versions
            .entry(r#type.to_owned())
            .or_default()
            .extend(versions);
    }

    fn topic(&mut self, topic: &str) -> &mut Topic {
        self.topics.entry(topic.to_owned()).or_default()
    }

    /// Where an event of this topic's stream goes.
    pub(super) fn find(&self, topic: &str, event: &Event) -> Route {
        let handler = self
            .topics
            .get(topic)
            .and_then(|topic| topic.by_type.get(&event.r#type).or(topic.any.as_ref()));
        match handler {
            None => Route::Skip,
            Some(_) if !self.knows(topic, &event.r#type, event.schema_version.as_deref()) => {
                Route::UnknownVersion
            }
            Some(handler) => Route::Handler(handler.clone()),
        }
    }

    /// Whether events of this type are handled in this version. One that names no version is not of an unknown one.
    pub(super) fn knows(&self, topic: &str, r#type: &str, version: Option<&str>) -> bool {
        let known = self
            .topics
            .get(topic)
            .and_then(|topic| topic.versions.get(r#type));
        known
            .zip(version)
            .is_none_or(|(known, version)| known.contains(version))
    }

    /// Whether all events of this topic go to one handler that takes several at once.
    pub(super) fn takes_together(&self, topic: &str) -> bool {
        let topic = self.topics.get(topic);
        topic.is_some_and(|topic| topic.by_type.is_empty() && matches!(topic.any, Some(Applier::Many(_))))
    }

    pub(super) fn topics(&self) -> Vec<&str> {
        let named = self
            .topics
            .iter()
            .filter(|(_, topic)| topic.any.is_some() || !topic.by_type.is_empty());
        named.map(|(name, _)| name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::consume::handler::{BoxFuture, HandlerResult};
    use crate::consume::pg::PgConnection;

    fn none<'a>(_: &'a mut PgConnection, _: &'a Event) -> BoxFuture<'a, HandlerResult> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn nothing() -> Applier {
        Applier::One(Arc::new(none))
    }

    fn event(r#type: &str, version: Option<&str>) -> Event {
        Event {
            schema_version: version.map(str::to_owned),
            ..Event::new("1", "/shop", r#type)
        }
    }

    #[test]
    fn a_type_goes_to_its_own_handler_then_to_the_topics_and_else_nowhere() {
        let mut routes = Routes::default();
        assert!(routes.add_type("orders", "placed", nothing()));
        assert!(!routes.add_type("orders", "placed", nothing()));
        assert!(matches!(
            routes.find("orders", &event("placed", None)),
            Route::Handler(_)
        ));
        assert!(matches!(routes.find("orders", &event("paid", None)), Route::Skip));
        assert!(matches!(
            routes.find("stock", &event("placed", None)),
            Route::Skip
        ));
        assert!(routes.add("orders", nothing()));
        assert!(matches!(
            routes.find("orders", &event("paid", None)),
            Route::Handler(_)
        ));
    }

    #[test]
    fn a_version_is_unknown_only_if_others_are_named() {
        let mut routes = Routes::default();
        assert!(routes.add("orders", nothing()));
        routes.add_versions("orders", "placed", ["1".to_owned(), "2".to_owned()]);
        let find = |event| routes.find("orders", &event);
        assert!(matches!(find(event("placed", Some("2"))), Route::Handler(_)));
        assert!(matches!(find(event("placed", Some("3"))), Route::UnknownVersion));
        assert!(matches!(find(event("placed", None)), Route::Handler(_)));
        assert!(matches!(find(event("paid", Some("3"))), Route::Handler(_)));
    }

    #[test]
    fn versions_of_a_topic_that_nobody_handles_open_no_stream() {
        let mut routes = Routes::default();
        routes.add_versions("orders", "placed", ["1".to_owned()]);
        assert!(routes.topics().is_empty());
    }
}
