//! While the breaker is open: what it holds, and the one event that is tried now and then.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use super::Failure;
use super::apply::apply;
use super::breaker::{Breaker, Held, Pass};
use super::delivery::{Delivery, Work};
use super::dispatch::type_of;
use super::drained::Drained;
use super::fate::{Fate, Landing};
use super::park::Lane;
use super::probe::Probe;
use super::session::Session;
use super::window::Item;
use crate::event::EntryId;

/// What may be tried.
enum Candidate {
    Item(Arc<Item<Delivery>>),
    Lane(Lane),
}

impl Session<'_> {
    /// Finds out what the breaker of the topic holds, and says so if that changed.
    pub(super) fn see_breaker(&mut self) {
        let held = self.breaker(|breaker| breaker.held(Instant::now()));
        if held != self.held_back {
            let is_open = held != Held::Nothing;
            self.held_back = held;
            self.meters.breaker.set(if is_open { 1.0 } else { 0.0 });
            self.stand();
        }
    }

    /// Looks at the breaker of the topic, or changes it.
    pub(super) fn breaker<R>(&self, work: impl FnOnce(&mut Breaker) -> R) -> R {
        self.shared().breakers.of(&self.stream().topic, work)
    }

    /// Lanes that failed of what is down, of a type that is held.
    pub(super) fn failed_lanes(&self) -> HashSet<Lane> {
        match &self.held_back {
            Held::Types(types) => {
                self.breaker(|breaker| breaker.blame.lanes(&self.place.flow, |of| types.contains(of)))
            }
            _ => HashSet::new(),
        }
    }

    /// What a batch says of what is down.
    pub(super) fn batch_probed(&mut self, landing: &Landing, began: Instant, probe: Option<Probe>) {
        if let Some((id, failure)) = &landing.dependency {
            let of = self.window.item(*id);
            let of = of.map(|item| (item.lane.clone(), type_of(item).map(str::to_owned)));
            if let Some((lane, r#type)) = of {
                self.dependency_down(&lane, r#type.as_deref(), failure, probe.as_ref());
            }
            return;
        }
        let items = || {
            let of = |(id, fate): &(EntryId, Fate)| Some((self.window.item(*id)?, fate.clone()));
            landing.fates.iter().filter_map(of)
        };
        self.breaker(|breaker| {
            for (item, fate) in items() {
                let line = self.place.line(&item.lane, type_of(item));
                match fate {
                    Fate::Applied => breaker.blame.got_through(line, began),
                    Fate::Failed { .. } => breaker.blame.counted(line, Instant::now()),
                    _ => {}
                }
            }
        });
        if probe.is_some() {
            let handled = items().find(|(item, fate)| {
                let is_handled = matches!(fate, Fate::Applied | Fate::Failed { .. });
                is_handled && matches!(item.payload.work, Work::Handle(_))
            });
            if let Some((item, _)) = handled {
                self.breaker(|breaker| breaker.answer(Instant::now(), type_of(item)));
            }
        }
        drop(probe);
        self.see_breaker();
    }

    /// What a lane that was drained says of it.
    pub(super) fn lane_probed(
        &mut self,
        lane: &Lane,
        drained: &Drained,
        began: Instant,
        probe: Option<Probe>,
    ) {
        if let Some((r#type, failure)) = &drained.dependency {
            self.dependency_down(lane, Some(r#type), failure, probe.as_ref());
            return;
        }
        let now = Instant::now();
        self.breaker(|breaker| {
            let line = self.place.line(lane, drained.r#type.as_deref());
            if drained.applied > 0 {
                breaker.blame.got_through(line, began);
            }
            if drained.failed.is_some() {
                breaker.blame.counted(line, now);
            }
            if probe.is_some() && drained.r#type.is_some() {
                breaker.answer(now, drained.r#type.as_deref());
            }
        });
        drop(probe);
        self.see_breaker();
    }

    fn dependency_down(
        &mut self,
        lane: &Lane,
        r#type: Option<&str>,
        failure: &Failure,
        probe: Option<&Probe>,
    ) {
        self.meters.failed(&failure.class);
        self.meters.attempted("dependency");
        let fraction = rand::random_range(0.0..=1.0);
        let number = probe.map(|probe| probe.number);
        let line = self.place.line(lane, r#type);
        // Not what the handler said of it: this is shown to whoever asks for readiness.
        let cause = failure.dependency();
        self.breaker(|breaker| breaker.fail(Instant::now(), number, line, cause, fraction));
        tracing::warn!(
            stream = self.stream().key,
            class = failure.class,
            "type" = r#type,
            "what a handler needs is down: one event is tried now and then"
        );
        self.see_breaker();
    }

    /// One event alone, now and then: the one that says the most. Returns whether it was started.
    pub(super) fn probe(&mut self) -> bool {
        let Some((candidate, rank)) = self.candidate() else {
            return false;
        };
        let patience = self.place.settings().handler_limit + self.place.settings().lease;
        let number = match self.breaker(|breaker| breaker.pass(Instant::now(), patience, rank)) {
            Pass::None(until) => {
                self.probe_at = Some(until);
                return false;
            }
            // It closed at this moment: that is seen with the next look.
            Pass::All => return false,
            Pass::One(number) => number,
        };
        let probe = Probe {
            shared: self.place.shared.clone(),
            topic: self.stream().topic.clone(),
            number,
        };
        match candidate {
            Candidate::Lane(of) => match self.lanes.next(|lane| *lane == of) {
                Some(lane) => self.drain(lane, 1, Some(probe)),
                None => return false,
            },
            Candidate::Item(item) => {
                self.window.start(&[item.id]);
                let place = self.place.clone();
                self.flights.batch(
                    false,
                    Some(probe),
                    async move { apply(&place, &[item], None).await },
                );
            }
        }
        true
    }

    /// What says the most of all that is in hand, and how far behind others it is. Only the first of a lane may be tried, and
    /// what is parked comes before what would join it.
    fn candidate(&self) -> Option<(Candidate, u32)> {
        let mut seen: HashSet<&Lane> = self.lanes.queued().iter().collect();
        let items = self.window.ready(self.lanes.draining(), usize::MAX);
        let items = items.iter().filter(|item| seen.insert(&item.lane));
        let lanes = self
            .lanes
            .queued()
            .iter()
            .filter(|lane| !self.window.is_flying(lane));
        self.breaker(|breaker| {
            let items = items.filter_map(|item| {
                let rank = breaker.rank(self.place.line(&item.lane, type_of(item)))?;
                Some((rank, Ok(item)))
            });
            let lanes =
                lanes.filter_map(|lane| Some((breaker.rank(self.place.line(lane, None))?, Err(lane))));
            let ((rank, _), best) = items.chain(lanes).min_by_key(|(rank, _)| *rank)?;
            let best = match best {
                Ok(item) => Candidate::Item(item.clone()),
                Err(lane) => Candidate::Lane(lane.clone()),
            };
            Some((best, rank))
        })
    }
}
