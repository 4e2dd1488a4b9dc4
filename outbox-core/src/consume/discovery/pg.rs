//! What the handlers' database says about the streams of older generations.

use crate::consume::Error;
use crate::consume::pg::{Store, bounded, entry_id};
use crate::event::EntryId;

/// What the group made of one stream.
pub(super) struct Older {
    /// The entry last passed.
    pub(super) passed: Option<EntryId>,
    /// The last entry before which a person gave up what is missing.
    pub(super) given_up: Option<EntryId>,
    /// Events that came from it are parked.
    pub(super) is_waiting: bool,
    /// How often the group had been set back.
    pub(super) seeks: i64,
    /// Where the group finds what the stream no longer has, as long as not all of it is passed.
    pub(super) prelude: Option<String>,
}

/// The two halves of the entry last passed, and the rest of [`Older`].
type Row = (
    Option<String>,
    Option<String>,
    Option<String>,
    bool,
    i64,
    Option<String>,
);

impl Store {
    /// How far the group came on each of these streams.
    pub(super) async fn older(&self, streams: Vec<String>) -> Result<Vec<Older>, Error> {
        let query = sqlx::query_as(include_str!("../../../queries/consume/older_streams.sql"))
            .bind(self.consumer())
            .bind(streams);
        let doing = "reading how far the streams of older partitions came";
        let rows: Vec<Row> = bounded(doing, query.fetch_all(&self.pool)).await?;
        let older = rows
            .into_iter()
            .map(|(batch, position, given_up, is_waiting, seeks, prelude)| {
                let passed = batch.zip(position);
                let passed = passed.map(|(batch, position)| entry_id(&format!("{batch}-{position}")));
                Ok(Older {
                    passed: passed.transpose()?,
                    given_up: given_up.as_deref().and_then(readable),
                    is_waiting,
                    seeks,
                    prelude,
                })
            });
        older.collect()
    }
}

/// What a person gave up. An id that cannot be gives nothing up: it must not stop what else is read here.
fn readable(given_up: &str) -> Option<EntryId> {
    let entry = given_up.parse();
    if entry.is_err() {
        tracing::warn!(
            entry = given_up,
            "outbox.hole_pass has an entry that cannot be; it counts for nothing"
        );
    }
    entry.ok()
}
