//! The statements about parked events.

use std::collections::BTreeMap;
use std::time::Duration;

use time::OffsetDateTime;

use super::Lane;
use crate::consume::pg::{PgConnection, Store, bounded};
use crate::consume::{Error, Failure, inbox};
use crate::event::{EntryId, Event};

mod lane;

/// Bytes of parked events that one transaction reads; one event alone may exceed it.
const READ_BYTES: i64 = 8 * 1024 * 1024;

/// An event that waits, as it is stored.
#[derive(Debug)]
pub(in crate::consume) struct Parked {
    pub(in crate::consume) place: i64,
    pub(in crate::consume) stream: String,
    pub(in crate::consume) entry_id: EntryId,
    pub(in crate::consume) source: String,
    pub(in crate::consume) id: String,
    pub(in crate::consume) r#type: String,
    pub(in crate::consume) schema_version: Option<String>,
    pub(in crate::consume) key: Option<String>,
    pub(in crate::consume) recorded_at: Option<OffsetDateTime>,
    pub(in crate::consume) fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub(in crate::consume) attempts: u32,
    pub(in crate::consume) history: String,
    pub(in crate::consume) dead_letter: Option<i64>,
}

/// A failed attempt of an event that is parked for it, or was parked before.
#[derive(Debug)]
pub(in crate::consume) struct FailedParked<'a> {
    pub(in crate::consume) attempts: u32,
    pub(in crate::consume) failure: &'a Failure,
    pub(in crate::consume) took: Duration,
}

/// What one transaction parks: events in their order, and what state their lanes are in after it.
#[derive(Default)]
pub(in crate::consume) struct Parking<'a> {
    lanes: BTreeMap<Lane, (&'static str, Duration)>,
    events: Vec<ParkedNow<'a>>,
}

struct ParkedNow<'a> {
    lane: Lane,
    entry: EntryId,
    event: &'a Event,
    fields: &'a [(Vec<u8>, Vec<u8>)],
    failed: Option<FailedParked<'a>>,
}

impl<'a> Parking<'a> {
    /// The lane is in this state when the transaction is committed, due after a pause if it is one that is tried again.
    pub(in crate::consume) fn turn(&mut self, lane: &Lane, state: &'static str, pause: Duration) {
        self.lanes.insert(lane.clone(), (state, pause));
    }

    /// The event joins its lane, at the end.
    pub(in crate::consume) fn join(
        &mut self,
        lane: &Lane,
        entry: EntryId,
        event: &'a Event,
        fields: &'a [(Vec<u8>, Vec<u8>)],
        failed: Option<FailedParked<'a>>,
    ) {
        self.events.push(ParkedNow {
            lane: lane.clone(),
            entry,
            event,
            fields,
            failed,
        });
    }

    /// The events that join.
    pub(in crate::consume) fn events(&self) -> impl Iterator<Item = &'a Event> {
        self.events.iter().map(|parked| parked.event)
    }
}

type ParkedRow = (
    i64,
    String,
    String,
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<OffsetDateTime>,
    Vec<Vec<u8>>,
    i32,
    String,
    Option<i64>,
);

impl Store {
    /// Parks what was collected. In the inbox the events are there already.
    pub(in crate::consume) async fn park(
        &self,
        tx: &mut PgConnection,
        flow: &str,
        stream: &str,
        parking: &Parking<'_>,
    ) -> Result<(), Error> {
        if !parking.lanes.is_empty() {
            let query = sqlx::query(include_str!("../../../queries/consume/park_lanes.sql"))
                .bind(&self.consumer)
                .bind(flow)
                .bind(stream)
                .bind(parking.lanes.keys().map(Lane::as_str).collect::<Vec<_>>())
                .bind(
                    parking
                        .lanes
                        .values()
                        .map(|(state, _)| *state)
                        .collect::<Vec<_>>(),
                )
                .bind(
                    parking
                        .lanes
                        .values()
                        .map(|(_, pause)| milliseconds(*pause))
                        .collect::<Vec<_>>(),
                );
            bounded("parking keys", query.execute(&mut *tx)).await?;
        }
        if parking.events.is_empty() {
            return Ok(());
        }
        self.park_events(tx, flow, stream, &parking.events).await?;
        let events: Vec<&Event> = parking.events().collect();
        self.set_outcome(tx, "parked", &["applied"], &events).await
    }

    async fn park_events(
        &self,
        tx: &mut PgConnection,
        flow: &str,
        stream: &str,
        events: &[ParkedNow<'_>],
    ) -> Result<(), Error> {
        let (mut fields, mut firsts, mut lasts) = (Vec::<&[u8]>::new(), vec![], vec![]);
        for parked in events {
            firsts.push(position(fields.len() + 1));
            fields.extend(
                parked
                    .fields
                    .iter()
                    .flat_map(|(name, value)| [name.as_slice(), value.as_slice()]),
            );
            lasts.push(position(fields.len()));
        }
        let column =
            |of: fn(&Event) -> Option<&str>| events.iter().map(|parked| of(parked.event)).collect::<Vec<_>>();
        let failed = |of: fn(&FailedParked<'_>) -> String| {
            let of = |parked: &ParkedNow<'_>| parked.failed.as_ref().map(of);
            events.iter().map(of).collect::<Vec<Option<String>>>()
        };
        let attempts =
            |parked: &ParkedNow<'_>| parked.failed.as_ref().map_or(0, |failed| count(failed.attempts));
        let seconds = |parked: &ParkedNow<'_>| {
            parked
                .failed
                .as_ref()
                .map_or(0.0, |failed| failed.took.as_secs_f64())
        };
        let query = sqlx::query(include_str!("../../../queries/consume/park_events.sql"))
            .bind(&self.consumer)
            .bind(flow)
            .bind(stream)
            .bind(
                events
                    .iter()
                    .map(|parked| parked.lane.as_str())
                    .collect::<Vec<_>>(),
            )
            .bind(
                events
                    .iter()
                    .map(|parked| parked.entry.to_string())
                    .collect::<Vec<_>>(),
            )
            .bind(column(|event| Some(&event.source)))
            .bind(column(|event| Some(&event.id)))
            .bind(column(|event| Some(&event.r#type)))
            .bind(column(|event| event.schema_version.as_deref()))
            .bind(column(|event| event.key.as_deref()))
            .bind(
                events
                    .iter()
                    .map(|parked| inbox::recorded_at(parked.event))
                    .collect::<Vec<_>>(),
            )
            .bind(firsts)
            .bind(lasts)
            .bind(fields)
            .bind(events.iter().map(attempts).collect::<Vec<_>>())
            .bind(failed(|failed| failed.failure.class.clone()))
            .bind(failed(|failed| failed.failure.text.clone()))
            .bind(events.iter().map(seconds).collect::<Vec<_>>());
        bounded("parking events", query.execute(tx)).await.map(drop)
    }

    /// The first events of a lane.
    pub(in crate::consume) async fn parked_events(
        &self,
        tx: &mut PgConnection,
        flow: &str,
        lane: &Lane,
        most: usize,
    ) -> Result<Vec<Parked>, Error> {
        let query = sqlx::query_as(include_str!("../../../queries/consume/parked_events.sql"))
            .bind(&self.consumer)
            .bind(flow)
            .bind(lane.as_str())
            .bind(position(most))
            .bind(READ_BYTES);
        let rows: Vec<ParkedRow> = bounded("reading parked events", query.fetch_all(tx)).await?;
        rows.into_iter().map(Parked::of_row).collect()
    }

    /// The event leaves its lane.
    pub(in crate::consume) async fn unpark(
        &self,
        tx: &mut PgConnection,
        flow: &str,
        lane: &Lane,
        place: i64,
    ) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../../queries/consume/unpark_event.sql"))
            .bind(&self.consumer)
            .bind(flow)
            .bind(lane.as_str())
            .bind(place);
        bounded("taking an event out of its lane", query.execute(tx))
            .await
            .map(drop)
    }

    /// One more failed attempt of a parked event.
    pub(in crate::consume) async fn fail_parked(
        &self,
        tx: &mut PgConnection,
        flow: &str,
        lane: &Lane,
        place: i64,
        failed: &FailedParked<'_>,
    ) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../../queries/consume/fail_parked.sql"))
            .bind(&self.consumer)
            .bind(flow)
            .bind(lane.as_str())
            .bind(place)
            .bind(failed.took.as_secs_f64())
            .bind(&failed.failure.class)
            .bind(&failed.failure.text);
        bounded("recording a failed attempt", query.execute(tx))
            .await
            .map(drop)
    }
}

impl Parked {
    fn of_row(row: ParkedRow) -> Result<Self, Error> {
        let (
            place,
            stream,
            entry,
            source,
            id,
            r#type,
            schema_version,
            key,
            recorded_at,
            flat,
            attempts,
            history,
            letter,
        ) = row;
        let mut values = flat.into_iter();
        let mut fields = Vec::new();
        while let (Some(name), Some(value)) = (values.next(), values.next()) {
            fields.push((name, value));
        }
        Ok(Self {
            place,
            stream,
            entry_id: crate::consume::pg::entry_id(&entry)?,
            source,
            id,
            r#type,
            schema_version,
            key,
            recorded_at,
            fields,
            attempts: attempts.unsigned_abs(),
            history,
            dead_letter: letter,
        })
    }
}

fn milliseconds(pause: Duration) -> f64 {
    pause.as_secs_f64() * 1000.0
}

fn position(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

fn count(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
