//! The statements of identities.

use std::collections::HashSet;

use super::Deduplication;
use crate::consume::Error;
use crate::consume::pg::{PgConnection, Store};
use crate::event::{EntryId, Event};

impl Store {
    /// Enters the identities of events that are new by their id. Returns the entries whose input was there before.
    pub(in crate::consume) async fn enter_keyed(
        &self,
        tx: &mut PgConnection,
        topic: &str,
        by: Deduplication,
        events: &[(EntryId, &Event)],
    ) -> Result<Vec<EntryId>, Error> {
        let identified = events
            .iter()
            .filter_map(|(entry, event)| Some((*entry, *event, by.identity.of(event)?)));
        let identified: Vec<(EntryId, &Event, [u8; 32])> = identified.collect();
        if identified.is_empty() {
            return Ok(Vec::new());
        }
        let identities: Vec<&[u8]> = identified.iter().map(|(_, _, hash)| hash.as_slice()).collect();
        let sources: Vec<&str> = identified
            .iter()
            .map(|(_, event, _)| event.source.as_str())
            .collect();
        let ids: Vec<&str> = identified.iter().map(|(_, event, _)| event.id.as_str()).collect();
        let query = sqlx::query_as(include_str!("../../../../queries/consume/enter_keyed.sql"))
            .bind(self.consumer())
            .bind(topic)
            .bind(by.window.as_secs_f64() * 1000.0)
            .bind(identities)
            .bind(sources)
            .bind(ids);
        let first: Vec<(String, String)> = self
            .in_turn("recording what identifies events", query.fetch_all(tx))
            .await?;
        let first: HashSet<(&str, &str)> = first
            .iter()
            .map(|(source, id)| (source.as_str(), id.as_str()))
            .collect();
        Ok(identified
            .iter()
            .filter(|(_, event, _)| !first.contains(&(event.source.as_str(), event.id.as_str())))
            .map(|(entry, ..)| *entry)
            .collect())
    }
}
