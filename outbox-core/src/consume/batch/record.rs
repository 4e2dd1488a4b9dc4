//! What is written of a batch once its handlers had their turns, in the same transaction.

use std::time::Duration;

use super::Batch;
use crate::consume::delivery::Delivery;
use crate::consume::fate::Fate;
use crate::consume::park::{FailedParked, Parking};
use crate::consume::pg::PgConnection;
use crate::consume::place::{Given, Place};
use crate::consume::retry::Next;
use crate::consume::window::Item;
use crate::consume::{Error, Failure};
use crate::dead_letter::Attributes;
use crate::event::{EntryId, Event};

impl Batch<'_> {
    /// Those that had no turn are as if they had never been here.
    async fn give_back(&self, tx: &mut PgConnection) -> Result<(), Error> {
        let fresh = self
            .rest
            .iter()
            .filter(|item| self.entered.fresh.contains(&item.id));
        let events: Vec<&Event> = fresh.filter_map(|item| item.payload.event.as_ref()).collect();
        if events.is_empty() {
            return Ok(());
        }
        let topic = &self.place.stream.topic;
        let by = self.place.settings().deduplicate.get(topic);
        self.place.store().give_back(tx, topic, by, &events).await
    }

    async fn turn_keyed(&self, tx: &mut PgConnection) -> Result<(), Error> {
        let topic = &self.place.stream.topic;
        let Some(by) = self.place.settings().deduplicate.get(topic) else {
            return Ok(());
        };
        let is_left = |id| self.rest.iter().any(|item| item.id == id);
        let store = self.place.store();
        store.turn_keyed(tx, topic, *by, &self.keyed, is_left).await
    }

    /// Writes down what was parked and given up: letters first, so that their places are before those who wait for them.
    pub(in crate::consume) async fn record(
        self,
        tx: &mut PgConnection,
    ) -> Result<Vec<(EntryId, Fate)>, Error> {
        let place = self.place;
        self.give_back(tx).await?;
        self.turn_keyed(tx).await?;
        let mut parking = Parking::default();
        let mut dead: Vec<&Event> = Vec::new();
        let mut skipped: Vec<&Event> = Vec::new();
        for lane in &self.opened {
            parking.turn(lane, "draining", Duration::ZERO);
        }
        for (id, fate, item) in &self.fates {
            let Delivery { fields, event, .. } = &item.payload;
            match (fate, event, self.failures.get(id)) {
                (Fate::Repeated, Some(event), _) => skipped.push(event),
                (Fate::Joined, Some(event), _) => parking.join(&item.lane, *id, event, fields, None),
                (Fate::Failed { next: Next::Wait, .. }, Some(event), _) => {
                    parking.turn(&item.lane, "waiting_version", Duration::ZERO);
                    parking.join(&item.lane, *id, event, fields, None);
                }
                (
                    Fate::Failed {
                        next: Next::Retry(pause),
                        attempts,
                        ..
                    },
                    Some(event),
                    Some((failure, took)),
                ) => {
                    let failed = FailedParked {
                        attempts: *attempts,
                        failure,
                        took: *took,
                    };
                    parking.turn(&item.lane, "retrying", *pause);
                    parking.join(&item.lane, *id, event, fields, Some(failed));
                }
                (Fate::Failed { attempts, .. }, _, Some((failure, took))) => {
                    place
                        .give_up(tx, given(place, item, failure, *took, *attempts))
                        .await?;
                    crash_point!(DEAD_LETTERED);
                    dead.extend(event);
                    if place.parks_dead(&item.lane, failure.kind) {
                        parking.turn(&item.lane, "dead", Duration::ZERO);
                    }
                }
                _ => {}
            }
        }
        if !dead.is_empty() {
            place.store().set_outcome(tx, "dead", &["applied"], &dead).await?;
        }
        if !skipped.is_empty() {
            place
                .store()
                .set_outcome(tx, "skipped", &["applied"], &skipped)
                .await?;
        }
        place
            .store()
            .park(tx, &place.flow, &place.stream.key, &parking)
            .await?;
        crash_point!(PARKED, if !self.failures.is_empty());
        Ok(self.fates.into_iter().map(|(id, fate, _)| (id, fate)).collect())
    }
}

fn given<'a>(
    place: &'a Place,
    item: &'a Item<Delivery>,
    failure: &'a Failure,
    took: Duration,
    attempts: u32,
) -> Given<'a> {
    Given {
        stream: &place.stream.key,
        entry_id: item.id.to_string(),
        lane: &item.lane,
        place: None,
        event: item.payload.event.as_ref().map(|event| Attributes {
            source: &event.source,
            id: &event.id,
            r#type: &event.r#type,
            schema_version: event.schema_version.as_deref(),
            key: event.key.as_deref(),
            recorded_at: event.recorded_at,
        }),
        fields: &item.payload.fields,
        failure,
        attempts,
        history: "[]",
        took,
    }
}
