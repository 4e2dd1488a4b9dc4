//! Orders into the store, three ways: in batches, by deciding each step, and with a projection in the same transaction.
//!
//! Each is as often as one likes: what is there is told, and not appended again.

use outbox_core::append::NewEvent;
use outbox_core::event_store::decide::{Context, Decided, ExecuteError, Repository};
use outbox_core::event_store::projection::{InlineProjections, append_projected};
use outbox_core::event_store::{self, Error, Expected, Outcome, Outcomes, StreamAppend};
use sqlx::PgPool;

use super::decider::{Orders, Report};
use super::row::Order;
use crate::Result;

/// A line of the file that is an order.
pub(super) type Numbered = (u64, Order);

/// What became of orders.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Orders that were appended.
    pub(super) orders: u64,
    /// Their events.
    pub(super) events: u64,
    /// Orders that were there before, the same.
    pub(super) known: u64,
    /// Lines whose stream holds something else.
    pub(super) refused: Vec<(u64, String)>,
    /// Where the last events are.
    pub(super) positions: Vec<i64>,
}

impl Written {
    pub(super) fn add(&mut self, more: Self) {
        self.orders += more.orders;
        self.events += more.events;
        self.known += more.known;
        self.refused.extend(more.refused);
        if !more.positions.is_empty() {
            self.positions = more.positions;
        }
    }

    fn appended(&mut self, positions: Vec<i64>) {
        self.orders += 1;
        self.events += positions.len() as u64;
        self.positions = positions;
    }
}

/// The store.
pub(super) struct Store {
    pub(super) pool: PgPool,
    repository: Repository<Orders>,
}

impl Store {
    pub(super) fn new(pool: PgPool) -> Result<Self> {
        let repository = Repository::new()?.prepare(|event: &super::event::OrderEvent, new| event.timed(new));
        Ok(Self { pool, repository })
    }

    /// A batch of orders in one round trip. One that was imported in part before is gone through order by order.
    pub(super) async fn append_batch(&self, orders: &[Numbered]) -> Result<Written> {
        let appends = orders
            .iter()
            .map(|(_, order)| {
                Ok(StreamAppend {
                    stream: order.stream.clone(),
                    expected: Expected::NoStream,
                    events: events_of(order)?,
                })
            })
            .collect::<Result<_, Error>>()?;
        let mut transaction = self.pool.begin().await?;
        let outcomes = event_store::append_streams(&mut transaction, appends).await;
        let mut written = Written::default();
        match outcomes {
            Ok(Outcomes::Appended(all)) => {
                transaction.commit().await?;
                for appended in all {
                    written.appended(appended.positions);
                }
            }
            Ok(Outcomes::AlreadyAppended(all)) => written.known = all.len() as u64,
            Ok(Outcomes::Conflict(_)) => {
                transaction.rollback().await?;
                written = self.append_singly(orders).await?;
            }
            Err(error) if is_known_in_part(&error) => {
                transaction.rollback().await?;
                written = self.append_singly(orders).await?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(written)
    }

    async fn append_singly(&self, orders: &[Numbered]) -> Result<Written> {
        let mut written = Written::default();
        for (line, order) in orders {
            let mut transaction = self.pool.begin().await?;
            let outcome = event_store::append(
                &mut transaction,
                &order.stream,
                Expected::NoStream,
                events_of(order)?,
            )
            .await;
            match outcome {
                Err(error) if is_known_in_part(&error) => written.refused.push((
                    *line,
                    "its stream has a part of these events: it was another row then".to_owned(),
                )),
                outcome => {
                    transaction.commit().await?;
                    told(&mut written, *line, outcome?);
                }
            }
        }
        Ok(written)
    }

    /// An order step by step: each is decided on what is stored, all of them in one transaction.
    pub(super) async fn report(&self, line: u64, order: &Order) -> Result<Written> {
        let mut written = Written::default();
        let mut transaction = self.pool.begin().await?;
        let mut positions = Vec::new();
        for step in &order.steps {
            let context = Context::of_command(step.command_id(&order.stream)?);
            let decided = self
                .repository
                .execute(&mut transaction, &order.stream, &Report(step.clone()), &context)
                .await;
            match decided {
                Ok(Decided::Appended { positions: new, .. }) => positions.extend(new),
                Ok(_) => {}
                Err(ExecuteError::Refused(refusal)) => {
                    written.refused.push((line, refusal.to_string()));
                    return Ok(written);
                }
                Err(error) => return Err(error.to_string().into()),
            }
        }
        transaction.commit().await?;
        match positions.is_empty() {
            true => written.known += 1,
            false => written.appended(positions),
        }
        Ok(written)
    }

    /// An order whole, with projections applied in its transaction.
    pub(super) async fn append_projected(
        &self,
        projections: &InlineProjections,
        line: u64,
        order: &Order,
    ) -> Result<Written> {
        let mut written = Written::default();
        let mut transaction = self.pool.begin().await?;
        let outcome = append_projected(
            &mut transaction,
            projections,
            &order.stream,
            Expected::NoStream,
            events_of(order)?,
        )
        .await?;
        transaction.commit().await?;
        told(&mut written, line, outcome);
        Ok(written)
    }
}

fn told(written: &mut Written, line: u64, outcome: Outcome) {
    match outcome {
        Outcome::Appended { positions, .. } => written.appended(positions),
        Outcome::AlreadyAppended { .. } => written.known += 1,
        Outcome::Conflict { actual } => written.refused.push((
            line,
            format!("its stream is at version {actual} with other events: it was another row then"),
        )),
    }
}

fn events_of(order: &Order) -> Result<Vec<NewEvent>, Error> {
    order
        .steps
        .iter()
        .map(|step| step.to_append(&order.stream))
        .collect()
}

/// Some of these events are there, by id, and others are not: nothing was appended.
fn is_known_in_part(error: &Error) -> bool {
    matches!(error, Error::Database { code, .. } if code == "23505")
}
