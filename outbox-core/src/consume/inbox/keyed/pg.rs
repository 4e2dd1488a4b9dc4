//! The statements of identities.

use std::collections::{HashMap, HashSet};

use time::OffsetDateTime;

use super::Deduplication;
use super::leader::{Leader, Leaders};
use crate::consume::Error;
use crate::consume::inbox::recorded_at;
use crate::consume::pg::{PgConnection, Store};
use crate::event::{EntryId, Event};

type Identified<'a> = (EntryId, &'a Event, [u8; 32]);

/// What a transaction found of the identities of its events.
#[derive(Default)]
pub(in crate::consume) struct Keyed {
    /// Entries whose input was there before.
    pub(in crate::consume) repeated: HashSet<EntryId>,
    leaders: HashMap<Vec<u8>, Leaders>,
}

/// The events of each identity, and what time it is for those that do not say theirs.
struct Kept {
    leaders: HashMap<Vec<u8>, Leaders>,
    now: OffsetDateTime,
}

impl Store {
    /// Enters the identities of events that are new by their id, and holds them until the transaction ends.
    pub(in crate::consume) async fn enter_keyed(
        &self,
        tx: &mut PgConnection,
        topic: &str,
        by: Deduplication,
        events: &[(EntryId, &Event)],
    ) -> Result<Keyed, Error> {
        let identified = events
            .iter()
            .filter_map(|(entry, event)| Some((*entry, *event, by.identity.of(event)?)));
        let identified: Vec<Identified> = identified.collect();
        if identified.is_empty() {
            return Ok(Keyed::default());
        }
        let mut kept = self.leaders(tx, topic, by, &identified).await?;
        let now = kept.now;
        let mut repeated = HashSet::new();
        for (entry, event, identity) in &identified {
            let at = recorded_at(event).map_or(now, |at| at.min(now));
            let leaders = kept.leaders.get_mut(identity.as_slice());
            if leaders.is_some_and(|leaders| !leaders.admit(*entry, &event.source, &event.id, at)) {
                repeated.insert(*entry);
            }
        }
        let leaders = kept.leaders;
        Ok(Keyed { repeated, leaders })
    }

    async fn leaders(
        &self,
        tx: &mut PgConnection,
        topic: &str,
        by: Deduplication,
        identified: &[Identified<'_>],
    ) -> Result<Kept, Error> {
        let of_each = identified.iter();
        let identities: Vec<&[u8]> = of_each.clone().map(|(_, _, hash)| hash.as_slice()).collect();
        let sources: Vec<&str> = of_each
            .clone()
            .map(|(_, event, _)| event.source.as_str())
            .collect();
        let ids: Vec<&str> = of_each.clone().map(|(_, event, _)| event.id.as_str()).collect();
        let recorded: Vec<Option<OffsetDateTime>> = of_each.map(|(_, event, _)| recorded_at(event)).collect();
        let query = sqlx::query_as(include_str!("../../../../queries/consume/enter_keyed.sql"))
            .bind(self.consumer())
            .bind(topic)
            .bind(by.window.as_secs_f64() * 1000.0)
            .bind(identities)
            .bind(sources)
            .bind(ids)
            .bind(recorded);
        type Row = (
            Vec<u8>,
            String,
            String,
            OffsetDateTime,
            OffsetDateTime,
            OffsetDateTime,
        );
        let rows: Vec<Row> = self
            .in_turn("recording what identifies events", query.fetch_all(tx))
            .await?;
        let mut kept = Kept {
            leaders: HashMap::with_capacity(rows.len()),
            now: OffsetDateTime::now_utc(),
        };
        for (identity, source, id, at, until, now) in rows {
            kept.now = now;
            let leader = Leader {
                source,
                id,
                at,
                until,
            };
            kept.leaders.insert(identity, Leaders::new(leader, by.window));
        }
        Ok(kept)
    }

    /// Gives the rows to the latest of those that had their turn.
    pub(in crate::consume) async fn turn_keyed(
        &self,
        tx: &mut PgConnection,
        topic: &str,
        by: Deduplication,
        keyed: &Keyed,
        is_left: impl Fn(EntryId) -> bool,
    ) -> Result<(), Error> {
        let turned = keyed
            .leaders
            .iter()
            .filter_map(|(identity, leaders)| Some((identity.as_slice(), leaders.successor(&is_left)?)));
        let (identities, successors): (Vec<&[u8]>, Vec<&Leader>) = turned.unzip();
        if identities.is_empty() {
            return Ok(());
        }
        let of_each = successors.iter();
        let sources: Vec<&str> = of_each.clone().map(|leader| leader.source.as_str()).collect();
        let ids: Vec<&str> = of_each.clone().map(|leader| leader.id.as_str()).collect();
        let times: Vec<OffsetDateTime> = of_each.map(|leader| leader.at).collect();
        let query = sqlx::query(include_str!("../../../../queries/consume/turn_keyed.sql"))
            .bind(self.consumer())
            .bind(topic)
            .bind(by.window.as_secs_f64() * 1000.0)
            .bind(identities)
            .bind(sources)
            .bind(ids)
            .bind(times);
        self.in_turn("recording what identifies events", query.execute(tx))
            .await
            .map(drop)
    }
}
