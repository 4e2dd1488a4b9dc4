//! The statements of the inbox.

use std::collections::{HashMap, HashSet};

use time::{Duration, OffsetDateTime};

use super::run::is_run;
use super::{AROUND, day_of, recorded_at};
use crate::consume::Error;
use crate::consume::pg::{PgConnection, Store, bounded, entry_id};
use crate::event::{EntryId, Event};

impl Store {
    /// Whether there is a day for `moment`; makes it if there should be one. Not inside an applying transaction: it would hold
    /// its lock until the commit.
    pub(in crate::consume) async fn ensure_inbox_day(&self, moment: OffsetDateTime) -> Result<bool, Error> {
        let query =
            sqlx::query_scalar(include_str!("../../../queries/consume/ensure_inbox_day.sql")).bind(moment);
        bounded("making a day of the inbox", query.fetch_one(&self.pool)).await
    }

    /// Drops one day of the inbox that is older than it keeps. Returns how many.
    pub(in crate::consume) async fn forget_inbox(&self) -> Result<i32, Error> {
        let query = sqlx::query_scalar(include_str!("../../../queries/consume/forget_inbox.sql"));
        bounded("dropping old days of the inbox", query.fetch_one(&self.pool)).await
    }

    /// Removes up to so many rows of each kind that goes row by row: ids without a day, identities. Returns how many of the
    /// kind that had more.
    pub(in crate::consume) async fn forget_rows(&self, most: i32) -> Result<i32, Error> {
        let query = sqlx::query_scalar(include_str!("../../../queries/consume/forget_rows.sql")).bind(most);
        bounded("removing what is over", query.fetch_one(&self.pool)).await
    }

    /// Records events as applied, each where it has its place. They were claimed by [`Self::fence`] before. Tells which of them were
    /// not there before, and whether any key of the flow is parked.
    pub(in crate::consume) async fn enter_inbox(
        &self,
        tx: &mut PgConnection,
        stream: &str,
        flow: &str,
        events: &[(EntryId, &Event)],
        places: &[Option<OffsetDateTime>],
    ) -> Result<Entered, Error> {
        if events.is_empty() {
            return Ok(Entered::default());
        }
        let (mut ours, mut foreign) = (Rows::default(), Rows::default());
        for ((entry, event), place) in events.iter().zip(places) {
            match place {
                Some(at) => ours.push(*entry, event, Some(*at)),
                None => foreign.push(*entry, event, recorded_at(event)),
            }
        }
        let doing = "recording events in the inbox";
        let mut rows: Vec<(String, bool, Option<String>)> = Vec::new();
        let times = || ours.recorded.iter().flatten().copied();
        if let (Some(first), Some(last)) = (times().min(), times().max()) {
            let is_run = is_run(&ours.ids);
            let statement = if is_run {
                include_str!("../../../queries/consume/enter_inbox_run.sql")
            } else {
                include_str!("../../../queries/consume/enter_inbox.sql")
            };
            let mut query = sqlx::query_as(statement)
                .bind(&self.consumer)
                .bind("applied")
                .bind(stream)
                .bind(&ours.sources)
                .bind(&ours.ids)
                .bind(&ours.recorded)
                .bind(&ours.entries)
                .bind(flow)
                .bind(first - AROUND)
                .bind(last + AROUND);
            if is_run {
                let from = day_of(first).midnight().assume_utc();
                let before = day_of(last).midnight().assume_utc() + Duration::DAY;
                query = query.bind(from).bind(before);
            }
            rows = self.in_turn(doing, query.fetch_all(&mut *tx)).await?;
        }
        if !foreign.ids.is_empty() {
            let is_any_untimed = foreign.recorded.iter().any(Option::is_none);
            let now = is_any_untimed.then(OffsetDateTime::now_utc);
            let query = sqlx::query_as(include_str!("../../../queries/consume/enter_inbox_foreign.sql"))
                .bind(&self.consumer)
                .bind("applied")
                .bind(stream)
                .bind(&foreign.sources)
                .bind(&foreign.ids)
                .bind(&foreign.entries)
                .bind(flow)
                .bind(&foreign.recorded)
                .bind(now.map(|now| now - AROUND))
                .bind(now.map(|now| now + AROUND));
            rows.extend(self.in_turn(doing, query.fetch_all(&mut *tx)).await?);
        }
        let may_be_parked = rows.iter().any(|(_, is_any_parked, _)| *is_any_parked);
        let mut entered = Entered {
            may_be_parked,
            ..Entered::default()
        };
        for (entry, _, forgotten_until) in rows {
            let entry = entry_id(&entry)?;
            entered.fresh.insert(entry);
            if let Some(until) = forgotten_until {
                entered.too_old.insert(entry, until);
            }
        }
        Ok(entered)
    }

    /// Changes the outcome of events that are in the inbox. Fails unless each of them changed.
    pub(in crate::consume) async fn set_outcome(
        &self,
        tx: &mut PgConnection,
        outcome: &str,
        before: &[&str],
        events: &[&Event],
    ) -> Result<(), Error> {
        let rows: Vec<Row<'_>> = events
            .iter()
            .map(|event| (event.source.as_str(), event.id.as_str(), recorded_at(event)))
            .collect();
        let changed = self.change_outcome(tx, outcome, before, &rows).await?;
        if changed == events.len() as u64 {
            return Ok(());
        }
        Err(Error::Postgres {
            doing: "recording what became of an event",
            code: None,
            source: format!("{changed} of {} rows of the inbox were as expected", events.len()).into(),
        })
    }

    /// Changes the outcome of what is in the inbox with one of the outcomes `before`. Returns how many changed.
    pub(in crate::consume) async fn change_outcome(
        &self,
        tx: &mut PgConnection,
        outcome: &str,
        before: &[&str],
        rows: &[Row<'_>],
    ) -> Result<u64, Error> {
        let doing = "recording what became of an event";
        let mut changed = 0;
        let ours: Vec<&Row<'_>> = rows
            .iter()
            .filter(|(_, _, recorded_at)| recorded_at.is_some())
            .collect();
        if !ours.is_empty() {
            let query = sqlx::query(include_str!("../../../queries/consume/set_outcome.sql"))
                .bind(&self.consumer)
                .bind(outcome)
                .bind(ours.iter().map(|row| row.0).collect::<Vec<_>>())
                .bind(ours.iter().map(|row| row.1).collect::<Vec<_>>())
                .bind(ours.iter().map(|row| row.2).collect::<Vec<_>>())
                .bind(before);
            changed += bounded(doing, query.execute(&mut *tx)).await?.rows_affected();
        }
        if changed < rows.len() as u64 {
            // The rest has no day, or had none when it came.
            let query = sqlx::query(include_str!("../../../queries/consume/set_outcome_foreign.sql"))
                .bind(&self.consumer)
                .bind(outcome)
                .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
                .bind(rows.iter().map(|row| row.1).collect::<Vec<_>>())
                .bind(before);
            changed += bounded(doing, query.execute(&mut *tx)).await?.rows_affected();
        }
        Ok(changed)
    }
}

/// Events to be entered, by columns.
#[derive(Default)]
struct Rows<'a> {
    sources: Vec<&'a str>,
    ids: Vec<&'a str>,
    recorded: Vec<Option<OffsetDateTime>>,
    entries: Vec<String>,
}

impl<'a> Rows<'a> {
    fn push(&mut self, entry: EntryId, event: &'a Event, recorded_at: Option<OffsetDateTime>) {
        self.sources.push(&event.source);
        self.ids.push(&event.id);
        self.recorded.push(recorded_at);
        self.entries.push(entry.to_string());
    }
}

/// An event in the inbox: source, id, and when it was recorded.
pub(in crate::consume) type Row<'a> = (&'a str, &'a str, Option<OffsetDateTime>);

/// What recording a batch in the inbox told.
#[derive(Default)]
pub(in crate::consume) struct Entered {
    /// Entries whose event was not there before.
    pub(in crate::consume) fresh: HashSet<EntryId>,
    /// Of those, entries whose event may have been there: up to when ids were forgotten.
    pub(in crate::consume) too_old: HashMap<EntryId, String>,
    /// Some key of the flow is parked: it must be asked which.
    pub(in crate::consume) may_be_parked: bool,
}
