//! Events that a transaction entered into the inbox and that had no turn in it: their rows go before it commits.

use time::OffsetDateTime;

use super::{PgConnection, Store, bounded};
use crate::consume::Error;
use crate::consume::inbox;
use crate::consume::inbox::keyed::Deduplication;
use crate::event::Event;

impl Store {
    /// Removes what this transaction entered of these events. Fails unless each of them had a row: one that stayed would be
    /// taken for applied.
    pub(in crate::consume) async fn give_back(
        &self,
        tx: &mut PgConnection,
        topic: &str,
        by: Option<&Deduplication>,
        events: &[&Event],
    ) -> Result<(), Error> {
        let sources: Vec<&str> = events.iter().map(|event| event.source.as_str()).collect();
        let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
        let recorded: Vec<Option<OffsetDateTime>> =
            events.iter().map(|event| inbox::recorded_at(event)).collect();
        let identities: Vec<Option<[u8; 32]>> = events
            .iter()
            .map(|event| by.and_then(|by| by.identity.of(event)))
            .collect();
        let identities: Vec<Option<&[u8]>> = identities
            .iter()
            .map(|identity| identity.as_ref().map(<[u8; 32]>::as_slice))
            .collect();
        let query = sqlx::query_scalar(include_str!("../../../queries/consume/give_back.sql"))
            .bind(self.consumer())
            .bind(sources)
            .bind(ids)
            .bind(recorded)
            .bind(topic)
            .bind(identities);
        let doing = "giving events back";
        let removed: i32 = bounded(doing, query.fetch_one(tx)).await?;
        if usize::try_from(removed) == Ok(events.len()) {
            return Ok(());
        }
        Err(Error::Postgres {
            doing,
            code: None,
            source: format!("{removed} of {} rows of the inbox were there", events.len()).into(),
        })
    }
}
