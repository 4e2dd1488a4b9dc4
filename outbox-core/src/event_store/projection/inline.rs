//! Appending with projections that are applied in the same transaction.

use std::sync::Arc;

use super::definition::Projection;
use super::pg::{self, PgConnection};
use crate::append::NewEvent;
use crate::event_store::subscription::{Error, Subscription};
use crate::event_store::{self, Expected, Outcome, StreamName};

/// Projections that a service applies where it appends.
#[derive(Clone, Default)]
pub struct InlineProjections {
    all: Vec<(Subscription, Arc<dyn Projection>)>,
}

impl InlineProjections {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more, with the events that it wants, as [`super::ProjectionRunner::inline`] has it.
    #[must_use]
    pub fn with(mut self, subscription: Subscription, projection: impl Projection) -> Self {
        self.all.push((subscription, Arc::new(projection)));
        self
    }
}

/// Appends to a stream as [`event_store::append`], and applies projections to what was appended, in the same transaction. A rebuild
/// that is switched to waits for this transaction, and this one for it.
///
/// # Errors
/// As [`event_store::append`], and when a projection fails: roll the transaction back then.
pub async fn append_projected(
    connection: &mut PgConnection,
    projections: &InlineProjections,
    stream: &StreamName,
    expected: Expected,
    events: Vec<NewEvent>,
) -> Result<Outcome, Error> {
    let wanted: Vec<_> = projections
        .all
        .iter()
        .filter(|(subscription, _)| subscription.wants_category(stream.category()))
        .collect();
    let names: Vec<String> = wanted
        .iter()
        .map(|(subscription, _)| subscription.name().to_owned())
        .collect();
    let known = pg::share(connection, &names).await?;
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        return Err(Error::Projection {
            name: name.clone(),
            said: "it has no tables here, or is not applied inline: start its ProjectionRunner first"
                .to_owned(),
        });
    }
    let outcome = event_store::append(connection, stream, expected, events).await?;
    let Outcome::Appended { positions, .. } = &outcome else {
        return Ok(outcome);
    };
    let appended = pg::events_at(connection, positions).await?;
    for (subscription, projection) in wanted {
        let path = pg::enter(connection, subscription.name()).await?;
        for event in appended
            .iter()
            .filter(|event| subscription.wants_type(&event.event.r#type))
        {
            if let Err(error) = projection.apply(connection, event).await {
                return Err(Error::Projection {
                    name: subscription.name().to_owned(),
                    said: format!("applying {} failed: {error}", event.event.r#type),
                });
            }
        }
        pg::leave(connection, &path).await?;
    }
    Ok(outcome)
}
