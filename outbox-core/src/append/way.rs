//! By which statement a single event is appended, where statements are prepared once and kept. Pure, but for what is known of topics.
//!
//! Each is an insert that Postgres plans with the rules in it, and each column that a statement names costs, whether an event has it or not.
//! So there is a short one for what most events are. Not prepared, planning any of them takes longer than the function as a whole.
//!
//! Authoritative: the database. [`Way::Short`] and [`Way::Plain`] insert nothing where `outbox.outgoing_if_plain` does not take the event,
//! and the event goes by [`Way::Any`] then, which says what is wrong with it if anything is. What is decided here saves that second try.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::columns::Columns;

/// As the rule has it: topic and type together.
const NAMES_BYTES_MAX: usize = 200;
/// Of the other texts but the key together. The rule has 1,024 with what an array of six takes.
const TEXTS_BYTES_MAX: usize = 900;
/// So long a topic that is kept otherwise than `standard` is known as one: somebody may have changed it back.
const KNOWN_FOR: Duration = Duration::from_secs(600);
/// So many of them at most.
const KNOWN_MAX: usize = 1000;

/// A statement for a single event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Key and JSON payload, and nothing else that a topic's events do not have by themselves.
    Short,
    /// JSON payload, short texts.
    Plain,
    /// No attribute that is rare.
    Any,
    /// Whatever it has.
    Function,
}

impl Way {
    /// The way of the first event.
    pub(super) fn of(columns: &Columns) -> Self {
        let first =
            |column: &'_ [Option<String>]| column.first().and_then(Option::as_ref).map_or(0, String::len);
        let has = |column: &[Option<String>]| column.first().is_some_and(Option::is_some);
        if has(&columns.subjects)
            || has(&columns.data_content_types)
            || has(&columns.data_schemas)
            || has(&columns.extensions)
            || columns.times.first().is_some_and(Option::is_some)
            || columns.data_binaries.first().is_some_and(Option::is_some)
        {
            return Self::Function;
        }
        let texts = [
            &columns.sources,
            &columns.schema_versions,
            &columns.correlation_ids,
            &columns.causation_ids,
            &columns.traceparents,
            &columns.tracestates,
        ];
        let bytes: usize = texts.iter().map(|column| first(column)).sum();
        if !has(&columns.data)
            || first(&columns.topics) + first(&columns.types) > NAMES_BYTES_MAX
            || bytes > TEXTS_BYTES_MAX
            || columns
                .topics
                .first()
                .and_then(Option::as_ref)
                .is_some_and(|topic| OTHERS.has(topic))
        {
            return Self::Any;
        }
        match has(&columns.types) || texts.iter().any(|column| has(column)) {
            true => Self::Plain,
            false => Self::Short,
        }
    }

    /// Its statement.
    pub(super) fn statement(self) -> &'static str {
        match self {
            Self::Short => include_str!("../../queries/append/short.sql"),
            Self::Plain => include_str!("../../queries/append/plain.sql"),
            Self::Any => include_str!("../../queries/append/any.sql"),
            Self::Function => super::columns::EVENT,
        }
    }
}

/// Topics of which an event was taken by [`Way::Any`] alone: those that are kept otherwise, and some of which one event was larger than
/// this database takes by the short ways. All databases of the process have one: it says which way is tried first, and nothing else.
pub(super) static OTHERS: Others = Others::none();

/// A set of topics that forgets.
pub(super) struct Others {
    /// Most services have none: they do not look.
    is_any: AtomicBool,
    until: RwLock<Option<HashMap<String, Instant>>>,
}

impl Others {
    const fn none() -> Self {
        Self {
            is_any: AtomicBool::new(false),
            until: RwLock::new(None),
        }
    }

    fn has(&self, topic: &str) -> bool {
        if !self.is_any.load(Ordering::Relaxed) {
            return false;
        }
        let known = self.until.read().unwrap_or_else(PoisonError::into_inner);
        known
            .as_ref()
            .and_then(|known| known.get(topic))
            .is_some_and(|until| Instant::now() < *until)
    }

    pub(super) fn add(&self, topic: &str) {
        let mut known = self.until.write().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_default();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(topic.to_owned(), Instant::now() + KNOWN_FOR);
        self.is_any.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::Limits;
    use super::super::new_event::NewEvent;
    use super::super::refuse::Home;
    use super::*;

    fn way(event: NewEvent) -> Way {
        Way::of(&Columns::of(vec![event], Home::Log, &Limits::default()).expect("keeps the rules"))
    }

    fn event() -> NewEvent {
        NewEvent::new("orders.placed").json(&1)
    }

    #[test]
    fn an_event_goes_by_the_shortest_statement_that_takes_it() {
        assert_eq!(way(event()), Way::Short);
        assert_eq!(way(event().key("k".repeat(1024))), Way::Short);
        assert_eq!(way(event().event_type("placed")), Way::Plain);
        assert_eq!(way(event().source("/shop").correlation_id("c")), Way::Plain);
        assert_eq!(way(NewEvent::new("orders.placed")), Way::Any);
        assert_eq!(way(event().tracestate("s".repeat(TEXTS_BYTES_MAX))), Way::Plain);
        assert_eq!(way(event().tracestate("s".repeat(TEXTS_BYTES_MAX + 1))), Way::Any);
        assert_eq!(way(event().event_type("t".repeat(NAMES_BYTES_MAX))), Way::Any);
        assert_eq!(way(event().subject("s")), Way::Function);
        assert_eq!(
            way(NewEvent::new("orders.placed").binary(vec![1], "image/png")),
            Way::Function
        );
    }

    #[test]
    fn topics_that_are_kept_otherwise_are_known_and_not_too_many() {
        let others = Others::none();
        assert!(!others.has("audited"));
        others.add("audited");
        assert!(others.has("audited") && !others.has("orders.placed"));
        for n in 0..KNOWN_MAX {
            others.add(&format!("topic-{n}"));
        }
        let known = others.until.read().expect("nobody panicked");
        assert!(known.as_ref().is_some_and(|known| known.len() <= KNOWN_MAX));
    }
}
