//! Making, detaching and dropping pieces.
//!
//! Table names are part of these statements, so they are put together here and not kept in files; every name comes from the
//! catalogue or from [`FAMILIES`] and is of the form `[a-z0-9_]+`.

use tokio_postgres::types::Type;

use super::column::{get, snapshot};
use super::session::Session;
use super::settled::settle_anew;
use crate::tail::Error;
use crate::tail::pieces::{Piece, droppable};
use crate::tail::snapshot::Snapshot;

const LIST_PIECES: &str = include_str!("../../../queries/tail/list_pieces.sql");
const LIST_ORPHANS: &str = include_str!("../../../queries/tail/list_orphans.sql");
const LIST_NULLABLE: &str = include_str!("../../../queries/tail/list_nullable.sql");
const READ_UPKEEP: &str = include_str!("../../../queries/tail/read_upkeep.sql");
const EXPIRED_BATCH: &str = include_str!("../../../queries/tail/expired_batch.sql");
const TRY_UPKEEP: &str = include_str!("../../../queries/tail/try_upkeep.sql");
const CARRY_PROGRESS: &str = include_str!("../../../queries/tail/carry_progress.sql");

/// A partitioned table whose pieces come and go.
#[derive(Debug)]
pub struct Family {
    /// The table.
    pub parent: &'static str,
    /// The column that its pieces are ranges of.
    column: &'static str,
    /// The retention class whose rows it holds; none for the ledger.
    class: Option<&'static str>,
    /// How wide a piece should be: about 2 GiB of small events, or some days of batches.
    pub width: i64,
}

/// Every such table.
pub static FAMILIES: &[Family] = &[
    Family {
        parent: "log_standard",
        column: "position",
        class: Some("standard"),
        width: 4_000_000,
    },
    Family {
        parent: "log_audit",
        column: "position",
        class: Some("audit"),
        width: 4_000_000,
    },
    Family {
        parent: "batch",
        column: "number",
        class: None,
        width: 1_000_000,
    },
    Family {
        parent: "share",
        column: "batch_number",
        class: None,
        width: 1_000_000,
    },
    Family {
        parent: "progress",
        column: "number",
        class: None,
        width: 1_000_000,
    },
];

/// A session that owns the tables, with what decides about them at this moment.
pub(crate) struct Keeper {
    session: Session,
    log_head: i64,
    settled_position: i64,
    batch_head: i64,
    progress_head: i64,
    passed_number: i64,
    passed: Snapshot,
    /// `passed` tells of rows between these positions: those up to the first are passed, those above the second are not.
    era: (i64, i64),
    somebody_lingers: bool,
}

impl Keeper {
    /// None while another keeper is at work: a leader before this one may not have noticed yet that it lost the lead, and
    /// what one has made and not attached yet is an orphan to the other.
    pub(crate) async fn begin(session: Session) -> Result<Option<Self>, Error> {
        session
            .batch("set role outbox_maintainer; set lock_timeout = '2s'; set enable_seqscan = on")
            .await?;
        let alone = session.query(TRY_UPKEEP, &[]).await?;
        if !alone.first().map_or(Ok(false), |row| get(row, "alone"))? {
            return Ok(None);
        }
        settle_anew(&session).await;
        let rows = session.query(READ_UPKEEP, &[]).await?;
        let Some(row) = rows.first() else {
            return Err(Error::new(crate::tail::Kind::Shape, "the ledger cannot be read"));
        };
        Ok(Some(Self {
            log_head: get(row, "log_head")?,
            settled_position: get(row, "settled_position")?,
            batch_head: get(row, "batch_head")?,
            progress_head: get(row, "progress_head")?,
            passed_number: get(row, "passed_number")?,
            passed: snapshot(row, "passed_snapshot")?,
            era: (get(row, "era_floor")?, get(row, "era_end")?),
            somebody_lingers: get(row, "somebody_lingers")?,
            session,
        }))
    }

    pub(crate) fn head(&self, family: &Family) -> i64 {
        match family.parent {
            "batch" | "share" => self.batch_head,
            "progress" => self.progress_head,
            _ => self.log_head,
        }
    }

    /// Whether a detach would end soon: it waits for every transaction that may still see the piece.
    pub(crate) fn may_detach(&self) -> bool {
        !self.somebody_lingers
    }

    pub(crate) async fn list(&self, family: &Family) -> Result<Vec<Piece>, Error> {
        let rows = self
            .session
            .query(LIST_PIECES, &[(&family.parent, Type::TEXT)])
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Piece {
                    name: get(row, "name")?,
                    lower: get(row, "lower_bound")?,
                    upper: get(row, "upper_bound")?,
                    detach_pending: get(row, "detach_pending")?,
                })
            })
            .collect()
    }

    /// Says so if a piece ahead of what was drawn holds a row: its position did not come from the sequence. A leader that cuts a few looks
    /// at no piece ahead (cut_few.sql), so its next batch passes it over. What was drawn is read behind the snapshot that shows the row.
    pub(crate) async fn tell_undrawn(&self, family: &Family) -> Result<bool, Error> {
        if family.class.is_none() {
            return Ok(false);
        }
        let pieces = self.list(family).await?;
        let ahead = pieces.iter().filter_map(|piece| piece.lower);
        let Some(ahead) = ahead.filter(|lower| *lower > self.log_head).min() else {
            return Ok(false);
        };
        let parent = family.parent;
        let found = self
            .session
            .simple(&format!(
                "select position::text from outbox.{parent} \
                 where position >= {ahead} and position > (select last_value from outbox.log_position) limit 1"
            ))
            .await?;
        if let Some(position) = &found {
            tracing::error!(
                position,
                table = parent,
                "EVENTS-ABOVE-THE-SEQUENCE: a row of outbox.log has a position that outbox.log_position has not come to: somebody inserted it with \
                 a position of its own; the next batch passes it over, and appends fail once the sequence comes to it; docs/recovering.md says what to do"
            );
        }
        Ok(found.is_some())
    }

    /// Creates a table, bounds it by a check so that attaching scans nothing, and attaches it.
    pub(crate) async fn make(&self, family: &Family, lower: i64, upper: Option<i64>) -> Result<(), Error> {
        let name = format!("{}_from_{lower}", family.parent);
        let parent = family.parent;
        self.session
            .batch(&format!(
                "create table outbox.{name} (like outbox.{parent} including defaults including constraints including storage)"
            ))
            .await?;
        crash_point!(PIECE_MADE);
        if family.class.is_some() {
            self.session
                .batch(&format!("create unique index on outbox.{name} (id, source)"))
                .await?;
        }
        self.attach(family, &name, Some(lower), upper).await
    }

    async fn attach(
        &self,
        family: &Family,
        name: &str,
        lower: Option<i64>,
        upper: Option<i64>,
    ) -> Result<(), Error> {
        let Family {
            parent,
            column,
            class,
            ..
        } = family;
        let from = lower.map_or("minvalue".to_owned(), |lower| lower.to_string());
        let to = upper.map_or("maxvalue".to_owned(), |upper| upper.to_string());
        let mut bounds = vec![format!("{column} is not null")];
        bounds.extend(lower.map(|lower| format!("{column} >= {lower}")));
        bounds.extend(upper.map(|upper| format!("{column} < {upper}")));
        bounds.extend(class.map(|class| format!("retention is not null and retention = '{class}'")));
        let bounds = bounds.join(" and ");
        self.session
            .batch(&format!(
                "alter table outbox.{name} drop constraint if exists piece_bounds; \
                 alter table outbox.{name} add constraint piece_bounds check ({bounds}); \
                 alter table outbox.{parent} attach partition outbox.{name} for values from ({from}) to ({to}); \
                 alter table outbox.{name} drop constraint piece_bounds"
            ))
            .await
    }

    pub(crate) async fn finish_detach(&self, family: &Family, piece: &Piece) -> Result<(), Error> {
        let (parent, name) = (family.parent, &piece.name);
        self.session
            .batch(&format!(
                "alter table outbox.{parent} detach partition outbox.{name} finalize"
            ))
            .await?;
        self.settle_orphans(family).await
    }

    /// Takes an empty piece away, to be replaced by narrower ones.
    pub(crate) async fn take_away(&self, family: &Family, piece: &Piece) -> Result<(), Error> {
        self.detach(family, piece).await?;
        self.settle_orphans(family).await
    }

    async fn detach(&self, family: &Family, piece: &Piece) -> Result<(), Error> {
        let (parent, name) = (family.parent, &piece.name);
        // Not inside a transaction: sent alone.
        self.session
            .batch(&format!(
                "alter table outbox.{parent} detach partition outbox.{name} concurrently"
            ))
            .await?;
        crash_point!(PIECE_DETACHED);
        Ok(())
    }

    /// Tables that belong to the family and are attached nowhere: attached again if they hold anything that some stream has
    /// not passed, dropped otherwise.
    pub(crate) async fn settle_orphans(&self, family: &Family) -> Result<(), Error> {
        for row in self
            .session
            .query(LIST_ORPHANS, &[(&family.parent, Type::TEXT)])
            .await?
        {
            let (name, lower): (String, i64) = (get(&row, "name")?, get(&row, "lower_bound")?);
            if self.holds_unpassed(family, &name).await? {
                let pieces = self.list(family).await?;
                let upper = pieces
                    .iter()
                    .filter_map(|piece| piece.lower)
                    .find(|bound| *bound > lower);
                let is_first = pieces
                    .iter()
                    .all(|piece| piece.lower.is_some_and(|bound| bound > lower));
                tracing::warn!(
                    piece = name,
                    "a detached piece holds events that are not published: attached again"
                );
                self.hold_columns(family, &name).await?;
                self.attach(family, &name, (!is_first).then_some(lower), upper)
                    .await?;
            } else {
                self.session.batch(&format!("drop table outbox.{name}")).await?;
            }
        }
        Ok(())
    }

    /// A detached table gets what its family holds of columns by now: it could not be attached without.
    async fn hold_columns(&self, family: &Family, name: &str) -> Result<(), Error> {
        for row in self
            .session
            .query(
                LIST_NULLABLE,
                &[(&family.parent, Type::TEXT), (&name, Type::TEXT)],
            )
            .await?
        {
            let column: String = get(&row, "name")?;
            self.session
                .batch(&format!(
                    "alter table outbox.{name} alter column \"{column}\" set not null"
                ))
                .await?;
        }
        Ok(())
    }

    async fn holds_unpassed(&self, family: &Family, name: &str) -> Result<bool, Error> {
        let question = if family.class.is_some() {
            let open: Vec<String> = self.passed.open().iter().map(u64::to_string).collect();
            let (floor, end) = self.era;
            format!(
                "select exists (select from outbox.{name} where position > {floor} and \
                 (transaction_id >= '{}'::xid8 or transaction_id = any('{{{}}}'::xid8[]))) \
                 or exists (select from outbox.{name} where position > {end}) as answer",
                self.passed.xmax(),
                open.join(",")
            )
        } else {
            let kept = if family.parent == "progress" {
                self.progress_head
            } else {
                self.passed_number
            };
            format!(
                "select exists (select from outbox.{name} where {} >= {kept}) as answer",
                family.column
            )
        };
        self.ask(&question).await
    }

    async fn ask(&self, question: &str) -> Result<bool, Error> {
        Ok(self.session.simple(question).await?.as_deref() == Some("t"))
    }

    /// Drops the pieces at the beginning that every stream has passed and whose retention is over. Returns how many.
    pub(crate) async fn drop_passed(&self, family: &Family) -> Result<u64, Error> {
        if !self.may_detach() {
            return Ok(0);
        }
        let mut dropped = 0;
        for piece in droppable(&self.list(family).await?, self.passed_bound(family).await?) {
            if !self.is_expired(family, &piece).await? || self.holds_unpassed(family, &piece.name).await? {
                break;
            }
            if family.parent == "progress" {
                self.session
                    .query(CARRY_PROGRESS, &[(&piece.upper.unwrap_or(0), Type::INT8)])
                    .await?;
            }
            self.detach(family, &piece).await?;
            // Whoever appended to it while it was being detached is seen now: then it is attached again.
            self.settle_orphans(family).await?;
            tracing::info!(
                piece = piece.name,
                "a piece was dropped: its retention is over and every stream has passed it"
            );
            dropped += 1;
        }
        Ok(dropped)
    }

    async fn passed_bound(&self, family: &Family) -> Result<i64, Error> {
        match family.parent {
            "batch" | "share" => {
                let rows = self.session.query(EXPIRED_BATCH, &[]).await?;
                let expired: i64 = rows.first().map_or(Ok(0), |row| get(row, "number"))?;
                Ok(expired.min(self.passed_number).min(self.batch_head))
            }
            "progress" => Ok(self.progress_head),
            // Not up to the head: a row that was drawn and not committed yet would be out of the tail's sight while its piece
            // is being detached, and the batch cut in that moment would never have it.
            _ => Ok(self.settled_position),
        }
    }

    /// Whether the newest row of a piece of the log is older than its class keeps it; of the ledger, the bound has said so.
    async fn is_expired(&self, family: &Family, piece: &Piece) -> Result<bool, Error> {
        let name = &piece.name;
        // Transaction ids may begin again with an era: then the highest is not the newest.
        let floor = self.era.0;
        match (family.class, family.parent) {
            (Some(class), _) => {
                self.ask(&format!(
                    "select coalesce((select bool_and(class.keep is not null and newest.recorded_at < clock_timestamp() - class.keep) \
                       from ((select recorded_at from outbox.{name} order by transaction_id desc, position desc limit 1) \
                             union all \
                             (select recorded_at from outbox.{name} where position > {floor} order by transaction_id desc, position desc limit 1)) newest, \
                            outbox.retention_class class \
                       where class.name = '{class}'), true) as answer"
                ))
                .await
            }
            (None, "progress") => {
                self.ask(&format!(
                    "select coalesce((select max(recorded_at) from outbox.{name}) < clock_timestamp() - interval '1 day', true) as answer"
                ))
                .await
            }
            _ => Ok(true),
        }
    }
}
