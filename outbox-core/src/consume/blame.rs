//! Whose events failed of what is down, and of which of them that is their own doing. Pure.
//!
//! A key whose handler always says that something is down would pause its topic for ever: it is what is tried again, and
//! nothing else goes. So it is remembered who failed like that. When an event of the same type and another key is applied in
//! a transaction that began after the failure, what is needed is there, and the key is blamed: its next failure of that kind
//! is an attempt like others. Each such attempt needs a proof of its own, and a failure of another one of the type takes all
//! proofs back: what a real outage costs stays nothing. Another type proves nothing: it may not need what is down.
//!
//! Known to one process only, and to it as long as it has the stream. Bounded: when too many are remembered, all are
//! forgotten.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::park::Lane;

/// So many lanes are remembered.
const LANES_MAX: usize = 1000;

/// Where an event stands, and what it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) stream: &'a str,
    pub(super) flow: &'a str,
    pub(super) lane: &'a Lane,
    /// None: not known.
    pub(super) r#type: Option<&'a str>,
}

#[derive(Clone, Debug)]
struct Failed {
    stream: String,
    r#type: String,
    at: Instant,
    /// Another one of its type got through since.
    is_blamed: bool,
}

/// Who failed of what is down, by flow and lane.
#[derive(Clone, Debug, Default)]
pub(super) struct Blame {
    flows: HashMap<String, HashMap<Lane, Failed>>,
}

impl Blame {
    /// It failed, and that counts for nothing: whatever was proved of its type is in doubt.
    pub(super) fn failed(&mut self, line: Line<'_>, now: Instant) {
        let Some(r#type) = line.r#type else {
            return;
        };
        if self.flows.values().map(HashMap::len).sum::<usize>() >= LANES_MAX {
            self.flows.clear();
        }
        for failed in self.all() {
            failed.is_blamed &= failed.r#type != r#type;
        }
        let failed = Failed {
            stream: line.stream.to_owned(),
            r#type: r#type.to_owned(),
            at: now,
            is_blamed: false,
        };
        let flow = self.flows.entry(line.flow.to_owned()).or_default();
        flow.insert(line.lane.clone(), failed);
    }

    /// Its failure was counted as an attempt: the next one needs another proof.
    pub(super) fn counted(&mut self, line: Line<'_>, now: Instant) {
        let flow = self.flows.get_mut(line.flow);
        if let Some(failed) = flow.and_then(|flow| flow.get_mut(line.lane)) {
            failed.at = now;
            failed.is_blamed = false;
        }
    }

    /// It was applied, in a transaction that began then: others of its type that failed before did so by their own doing.
    pub(super) fn got_through(&mut self, line: Line<'_>, began: Instant) {
        if let Some(flow) = self.flows.get_mut(line.flow) {
            flow.remove(line.lane);
            if flow.is_empty() {
                self.flows.remove(line.flow);
            }
        }
        for failed in self.all() {
            failed.is_blamed |= line.r#type == Some(&failed.r#type) && began > failed.at;
        }
    }

    /// Whether its next failure is an attempt like others.
    pub(super) fn is_blamed(&self, line: Line<'_>) -> bool {
        self.of(line)
            .is_some_and(|failed| failed.is_blamed && line.r#type == Some(&failed.r#type))
    }

    /// The type with which a lane failed, if it did.
    pub(super) fn type_of(&self, line: Line<'_>) -> Option<&str> {
        self.of(line).map(|failed| failed.r#type.as_str())
    }

    /// When a lane failed last, if it did.
    pub(super) fn failed_at(&self, line: Line<'_>) -> Option<Instant> {
        self.of(line).map(|failed| failed.at)
    }

    /// The lanes of a flow that failed with a type of these.
    pub(super) fn lanes(&self, flow: &str, of: impl Fn(&str) -> bool) -> HashSet<Lane> {
        let lanes = self.flows.get(flow).into_iter().flatten();
        lanes
            .filter(|(_, failed)| of(&failed.r#type))
            .map(|(lane, _)| lane.clone())
            .collect()
    }

    /// The stream is no longer with this process.
    pub(super) fn leave(&mut self, stream: &str) {
        for flow in self.flows.values_mut() {
            flow.retain(|_, failed| failed.stream != stream);
        }
        self.flows.retain(|_, flow| !flow.is_empty());
    }

    fn of(&self, line: Line<'_>) -> Option<&Failed> {
        self.flows.get(line.flow)?.get(line.lane)
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Failed> {
        self.flows.values_mut().flat_map(HashMap::values_mut)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    pub(in crate::consume) fn line<'a>(lane: &'a Lane, r#type: &'a str) -> Line<'a> {
        Line {
            stream: "outbox:orders",
            flow: "orders",
            lane,
            r#type: Some(r#type),
        }
    }

    pub(in crate::consume) fn lanes() -> (Lane, Lane, Lane) {
        (Lane::of_key("a"), Lane::of_key("b"), Lane::of_key("c"))
    }

    #[test]
    fn who_fails_while_another_one_of_its_type_gets_through_is_blamed_once_for_each_proof() {
        let (mut blame, now, (a, b, _)) = (Blame::default(), Instant::now(), lanes());
        blame.failed(line(&a, "placed"), now);
        assert!(!blame.is_blamed(line(&a, "placed")));
        blame.got_through(line(&b, "placed"), now + SECOND);
        assert!(blame.is_blamed(line(&a, "placed")));
        assert!(!blame.is_blamed(line(&a, "changed")), "of another type");
        assert!(!blame.is_blamed(line(&b, "placed")));
        blame.counted(line(&a, "placed"), now + 2 * SECOND);
        assert!(
            !blame.is_blamed(line(&a, "placed")),
            "each attempt has its own proof"
        );
        blame.got_through(line(&b, "placed"), now + 3 * SECOND);
        assert!(blame.is_blamed(line(&a, "placed")));
    }

    #[test]
    fn nothing_is_proved_by_another_type_by_the_same_lane_or_by_what_began_before() {
        let (mut blame, now, (a, b, _)) = (Blame::default(), Instant::now(), lanes());
        blame.failed(line(&a, "placed"), now + SECOND);
        blame.got_through(line(&b, "changed"), now + 2 * SECOND);
        blame.got_through(line(&b, "placed"), now);
        assert!(!blame.is_blamed(line(&a, "placed")));
        blame.got_through(line(&a, "placed"), now + 2 * SECOND);
        assert_eq!(blame.type_of(line(&a, "placed")), None, "it got through");
    }

    #[test]
    fn when_another_one_of_the_type_fails_too_nobody_is_blamed_until_one_gets_through() {
        let (mut blame, now, (a, b, c)) = (Blame::default(), Instant::now(), lanes());
        blame.failed(line(&a, "placed"), now);
        blame.got_through(line(&c, "placed"), now + SECOND);
        blame.failed(line(&b, "placed"), now + 2 * SECOND);
        assert!(!blame.is_blamed(line(&a, "placed")));
        blame.got_through(line(&c, "placed"), now + 3 * SECOND);
        assert!(blame.is_blamed(line(&a, "placed")) && blame.is_blamed(line(&b, "placed")));
        assert_eq!(blame.lanes("orders", |of| of == "placed"), HashSet::from([a, b]));
    }

    #[test]
    fn what_left_is_forgotten_and_so_is_all_when_it_is_too_much() {
        let (mut blame, now, (a, ..)) = (Blame::default(), Instant::now(), lanes());
        blame.failed(line(&a, "placed"), now);
        blame.leave("outbox:stock");
        assert_eq!(blame.type_of(line(&a, "placed")), Some("placed"));
        blame.leave("outbox:orders");
        assert_eq!(blame.type_of(line(&a, "placed")), None);
        for n in 0..=LANES_MAX {
            blame.failed(line(&Lane::of_key(&n.to_string()), "placed"), now);
        }
        assert_eq!(blame.lanes("orders", |_| true).len(), 1);
    }
}
