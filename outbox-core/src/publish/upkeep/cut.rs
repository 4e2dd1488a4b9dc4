//! Orders a re-issue of the tail, which alone writes the ledger. Order of a repair: the lease, what the sink holds, what the log
//! holds, the cut. The statement that cuts checks again whether the stream was re-issued meanwhile.

use std::time::Duration;

use tokio::sync::oneshot;

use super::losses::Patient;
use super::pg::repairs::Fate;
use super::run::Upkeep;
use super::survey::Begin;
use crate::event::EntryId;
use crate::observe;
use crate::publish::{Error, Kind};
use crate::tail;
use crate::tail::reissue::Order;

/// The tail cuts within a moment; behind a huge batch it may take as long as that.
const CUT_LIMIT: Duration = Duration::from_secs(900);

impl Upkeep {
    /// Has everything behind an entry put out again.
    pub(super) async fn order(
        &mut self,
        patient: &Patient<'_>,
        begin: Begin,
        missing: EntryId,
    ) -> Result<Fate, Error> {
        self.check_lease()?;
        let (done, answer) = oneshot::channel();
        let (kept, events, removed) = (
            begin.behind.kept,
            begin.measured.event_count,
            begin.measured.removed,
        );
        let order = Order {
            stream: patient.stream.clone(),
            partitions: patient.standing.partitions,
            behind: begin.behind,
            measured: begin.measured,
            missing,
            asked_by: patient.asked_by.to_owned(),
            done,
        };
        let over = || {
            Error::new(
                Kind::Tail(tail::Kind::Superseded),
                "the tail ended before it cut a re-issue",
            )
        };
        self.parts.orders.send(order).await.map_err(|_| over())?;
        let cut = tokio::time::timeout(CUT_LIMIT, answer).await;
        let number = cut.map_err(|_| over())?.map_err(|_| over())?;
        let Some(number) = number else {
            return Ok(Fate::Asked);
        };
        self.is_repairing = true;
        metrics::counter!(observe::PUBLISH_REISSUES, "topic" => patient.stream.topic.clone()).increment(1);
        tracing::warn!(
            stream = patient.key, %missing, %kept, events, removed, batch = number, asked_by = patient.asked_by,
            "the stream lost entries: everything behind the last one that was kept is put out again"
        );
        Ok(Fate::Reissued(number))
    }
}
