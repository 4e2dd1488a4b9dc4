//! A breaker: while something that a handler needs is down, one event now and then is tried instead of all of them. Pure.
//!
//! It holds the whole topic at first. What is tried is another event of the type that failed, of another key, if there is
//! one: if it gets through, that type goes on, and the failure was the other one's own doing ([`Blame`]). In turns with these
//! an event of another type is tried: if that one gets through, only the types that failed are held from then on, and tried.
//! One that says less lets others go first for a moment, and one that failed lets those go first that did not.
//!
//! Of a process, not of a stream: whoever has something to try may. A probe that never came to an answer is given back, and
//! what nobody has anything to try of closes by itself: it holds nobody.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::blame::{Blame, Line};
use super::retry::Policy;

/// Between two attempts to reach what is down.
const PROBE: Policy = Policy {
    attempts: u32::MAX,
    pause_min: Duration::from_millis(500),
    pause_max: Duration::from_secs(30),
};
/// So long those whose event says more have to go first.
const COURTESY: Duration = Duration::from_millis(250);
/// After so long without anything to try it closes.
const IDLE: Duration = Duration::from_secs(10);
/// So many types are told apart.
const TYPES_MAX: usize = 100;

/// What may be tried now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Everything.
    All,
    /// One event, alone: the probe of this number.
    One(u64),
    /// Nothing before this moment.
    None(Instant),
}

/// What an open breaker holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Held {
    #[default]
    Nothing,
    Everything,
    /// Events of these types.
    Types(BTreeSet<String>),
}

impl Held {
    /// Whether nothing of this type may be started.
    pub(super) fn holds(&self, r#type: Option<&str>) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Types(held) => r#type.is_some_and(|r#type| held.contains(r#type)),
        }
    }
}

/// Since something is down.
#[derive(Clone, Debug)]
struct Open {
    /// In a row.
    failures: u32,
    /// Half-open behind it.
    until: Instant,
    /// When somebody had something to try last.
    asked_at: Instant,
    cause: String,
    /// Which types failed: the one to be tried next first.
    types: Vec<String>,
    /// Only these are held: another one got through.
    is_narrow: bool,
    /// It is the turn of another type.
    is_others_turn: bool,
    /// Which probe is under way, and how long it may be.
    probe: Option<(u64, Instant)>,
}

/// The breaker of one topic.
#[derive(Clone, Debug, Default)]
pub(super) struct Breaker {
    /// None: closed.
    open: Option<Open>,
    probes: u64,
    /// How often it let more go.
    freedom: u64,
    pub(super) blame: Blame,
}

impl Breaker {
    /// How far behind others an event should be tried, and since when it is known to fail; none if it is no probe at all.
    pub(super) fn rank(&self, line: Line<'_>) -> Option<(u32, Option<Instant>)> {
        let open = self.open.as_ref()?;
        let failed = self.blame.failed_at(line);
        let r#type = line.r#type.or_else(|| self.blame.type_of(line));
        let turn = open.types.iter().position(|held| Some(held.as_str()) == r#type);
        let rank = match turn {
            None if open.is_narrow => return None,
            None if open.is_others_turn => 0,
            None => 3,
            Some(0) => u32::from(failed.is_some()),
            Some(_) => 2,
        };
        Some((rank + u32::from(open.is_others_turn && turn.is_some()), failed))
    }

    /// What may be tried now, by whoever has an event of this rank. Who is allowed one has `patience` to say how it went.
    pub(super) fn pass(&mut self, now: Instant, patience: Duration, rank: u32) -> Pass {
        let Some(open) = &mut self.open else {
            return Pass::All;
        };
        open.asked_at = now;
        let due = open.until + COURTESY * rank;
        match open.probe {
            Some((_, deadline)) if now < deadline => Pass::None(deadline),
            _ if now < due => Pass::None(due),
            _ => {
                self.probes += 1;
                open.probe = Some((self.probes, now + patience));
                Pass::One(self.probes)
            }
        }
    }

    /// What this one needs is down. Of many that were in hand together the first counts.
    /// `fraction`, drawn from 0 to 1, keeps many members from trying at the same moment.
    pub(super) fn fail(
        &mut self,
        now: Instant,
        probe: Option<u64>,
        line: Line<'_>,
        cause: &str,
        fraction: f64,
    ) {
        self.blame.failed(line, now);
        let open = self.open.get_or_insert_with(|| Open {
            failures: 0,
            until: now,
            asked_at: now,
            cause: String::new(),
            types: Vec::new(),
            is_narrow: false,
            is_others_turn: false,
            probe: None,
        });
        let is_probe = probe.is_some() && open.probe.map(|(number, _)| number) == probe;
        if let Some(r#type) = line.r#type
            && (is_probe || !open.types.iter().any(|held| held == r#type))
        {
            if open.types.len() >= TYPES_MAX {
                open.types.clear();
                open.is_narrow = false;
            }
            open.types.retain(|held| held != r#type);
            open.types.push(r#type.to_owned());
        }
        if is_probe {
            open.probe = None;
            open.is_others_turn = !open.is_others_turn && !open.is_narrow;
        } else if open.failures > 0 {
            return;
        }
        open.failures = open.failures.saturating_add(1);
        open.until = now + PROBE.pause_at(open.failures, fraction);
        cause.clone_into(&mut open.cause);
    }

    /// A probe of this type got through, or failed of something else.
    pub(super) fn answer(&mut self, now: Instant, r#type: Option<&str>) {
        let Some(open) = &mut self.open else {
            return;
        };
        self.freedom += 1;
        open.types.retain(|held| Some(held.as_str()) != r#type);
        if open.types.is_empty() {
            self.open = None;
            return;
        }
        open.is_narrow = true;
        open.is_others_turn = false;
        open.until = now;
        open.probe = None;
    }

    /// Nobody will say how this probe went, or it said nothing: another one may be tried.
    pub(super) fn give_back(&mut self, probe: u64) {
        if let Some(open) = &mut self.open
            && open.probe.is_some_and(|(number, _)| number == probe)
        {
            open.probe = None;
            self.freedom += 1;
        }
    }

    /// What is held. What nobody had anything to try of for long is not.
    pub(super) fn held(&mut self, now: Instant) -> Held {
        let is_idle = self.open.as_ref().is_some_and(|open| {
            let is_under_way = open.probe.is_some_and(|(_, deadline)| now < deadline);
            !is_under_way && now >= open.until.max(open.asked_at) + IDLE
        });
        if is_idle {
            self.open = None;
            self.freedom += 1;
        }
        match &self.open {
            None => Held::Nothing,
            Some(open) if open.is_narrow => Held::Types(open.types.iter().cloned().collect()),
            Some(_) => Held::Everything,
        }
    }

    /// What is down, while it is open.
    pub(super) fn cause(&self) -> Option<&str> {
        self.open.as_ref().map(|open| open.cause.as_str())
    }

    /// How often it closed, held less, or had its probe given back: those who wait should look again.
    pub(super) fn freedom(&self) -> u64 {
        self.freedom
    }
}

#[cfg(test)]
mod tests;
