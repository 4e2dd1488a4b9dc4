//! Where transactions apply: one stream, under one lease.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::SemaphorePermit;

use super::blame::Line;
use super::contention::Company;
use super::failure_kind::FailureKind;
use super::lease::Lease;
use super::park::{DeadPolicy, Lane};
use super::pg::{PgConnection, Store};
use super::retry::{Next, OUTAGE, Policy};
use super::settings::Settings;
use super::shared::Shared;
use super::stream::Stream;
use super::suspects::Suspicion;
use super::{Error, Failure, fingerprint, pg};
use crate::dead_letter::{self, Attributes, DeadLetter};
use crate::event::EntryId;

/// What the transactions of one session share.
pub(super) struct Place {
    pub(super) shared: Arc<Shared>,
    pub(super) stream: Stream,
    /// What the keys of the stream are unique in.
    pub(super) flow: String,
    pub(super) lease: Lease,
}

/// An attempt that ends an event, or nearly: who it was, why, and what is known of it.
pub(super) struct Given<'a> {
    pub(super) stream: &'a str,
    pub(super) entry_id: String,
    pub(super) lane: &'a Lane,
    pub(super) place: Option<i64>,
    pub(super) event: Option<Attributes<'a>>,
    pub(super) fields: &'a [(Vec<u8>, Vec<u8>)],
    pub(super) failure: &'a Failure,
    pub(super) attempts: u32,
    pub(super) history: &'a str,
    pub(super) took: Duration,
}

impl Place {
    pub(super) fn new(shared: Arc<Shared>, stream: &Stream, lease: Lease) -> Self {
        Self {
            shared,
            stream: stream.clone(),
            flow: stream.flow().to_string(),
            lease,
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.shared.store
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// How close together events are applied here now.
    pub(super) fn company(&self) -> Company {
        self.shared.company(&self.stream.topic)
    }

    /// A transaction that began in this company met another one.
    pub(super) fn met(&self, began: Company) {
        self.shared.met(&self.stream.topic, began);
    }

    /// Waits for the right to open a transaction.
    pub(super) async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        self.shared.slots.take(&self.stream.topic).await
    }

    fn policy(&self) -> Policy {
        self.settings().retry_of(&self.stream.topic)
    }

    /// What follows from the `attempts`th attempt.
    pub(super) fn next(&self, attempts: u32, failure: &Failure) -> Next {
        self.policy().after(attempts, failure.kind)
    }

    /// Whether the later events of the lane wait for a dead one. One that is too old most likely had its effect, before them.
    pub(super) fn parks_dead(&self, lane: &Lane, kind: FailureKind) -> bool {
        lane.is_shared() && kind != FailureKind::TooOld && self.settings().on_dead == DeadPolicy::Park
    }

    /// How the breaker of the topic knows an event of this lane.
    pub(super) fn line<'a>(&'a self, lane: &'a Lane, r#type: Option<&'a str>) -> Line<'a> {
        Line {
            stream: &self.stream.key,
            flow: &self.flow,
            lane,
            r#type,
        }
    }

    /// Whether it is this event's own doing if it fails of what is down.
    pub(super) fn is_blamed(&self, lane: &Lane, r#type: &str) -> bool {
        let line = self.line(lane, Some(r#type));
        let breakers = &self.shared.breakers;
        breakers.of(&self.stream.topic, |breaker| breaker.blame.is_blamed(line))
    }

    /// The connection was lost while the handler of this entry was at work, or that of several. Returns the entry if that is
    /// its fault by now, and fails if the server is gone, which is nobody's.
    pub(super) async fn suspect(
        &self,
        id: Option<EntryId>,
        failure: &Failure,
    ) -> Result<Option<EntryId>, Error> {
        if !self.store().answers().await {
            return Err(Error::Postgres {
                doing: "applying an event",
                code: None,
                source: failure.text.clone().into(),
            });
        }
        let Some(id) = id else {
            return Ok(None);
        };
        match self.shared.suspects.lost(&self.stream.key, id) {
            Suspicion::Failed => Ok(Some(id)),
            Suspicion::Again(losses) => {
                tracing::warn!(
                    stream = self.stream.key,
                    entry = %id,
                    losses,
                    "a handler's connection was lost, and the server answers: the event is tried alone"
                );
                tokio::time::sleep(OUTAGE.pause(losses)).await;
                Ok(None)
            }
        }
    }

    /// Keeps what is given up as a dead letter.
    pub(super) async fn give_up(&self, tx: &mut PgConnection, given: Given<'_>) -> Result<(), Error> {
        let failure = given.failure;
        let r#type = given.event.as_ref().map_or("", |event| event.r#type);
        let letter = DeadLetter {
            consumer: self.store().consumer(),
            stream: given.stream,
            entry_id: given.entry_id,
            flow: &self.flow,
            lane: given.lane.as_str(),
            place: given.place,
            error_class: &failure.class,
            error: &failure.text,
            error_kind: failure.kind.word(),
            fingerprint: fingerprint::fingerprint(r#type, &failure.class, &failure.text),
            event: given.event,
            fields: given.fields,
            attempts: given.attempts.max(1),
            history: given.history,
            seconds: given.took.as_secs_f64(),
        };
        pg::bounded("keeping a dead letter", dead_letter::enter(tx, &letter)).await
    }

    /// A letter that was put back has come to its end.
    pub(super) async fn settle(
        &self,
        tx: &mut PgConnection,
        letter: Option<i64>,
        state: &str,
    ) -> Result<(), Error> {
        let Some(number) = letter else {
            return Ok(());
        };
        pg::bounded("settling a dead letter", dead_letter::settle(tx, number, state)).await
    }
}
