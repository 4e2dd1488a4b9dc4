//! Upkeep of the pieces: makes them ahead, drops those that every stream has passed and whose retention is over.
//!
//! Producers never wait for it. New pieces come only by create, check and attach; old ones go by detach concurrently and
//! drop: any other way queues appends behind an open transaction. A detach that was interrupted is finished first; a table
//! that an interruption left alone is attached again if it holds anything unpublished, and dropped otherwise.
//! Needs membership in `outbox_maintainer`. Without upkeep nothing is lost and no append waits, but space does not come back.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::lease::Lease;
use super::pg::pieces::{self, Family, Keeper};
use super::pg::{Dial, Session};
use super::pieces::{Step, plan};
use crate::observe;

/// Steps in one round for one table: enough to fill any gap, and an end to a plan that does not converge.
const STEPS_AT_MOST: usize = 32;

/// So many intervals a round is left out at most: what only time brings about is found then.
const RESTS: u32 = 10;

/// What one round did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Pieces made.
    pub made: u64,
    /// Pieces dropped.
    pub dropped: u64,
}

/// Looks after the pieces every `interval` until the token is cancelled, and ten times less often where nothing was cut since a round
/// that found nothing to do. Trouble is logged and tried again.
pub async fn run(
    dial: Dial,
    interval: Duration,
    limit: Duration,
    lease: watch::Receiver<Lease>,
    token: CancellationToken,
) {
    let mut tick = tokio::time::interval(interval);
    let (mut settled_at, mut rested) = (None, 0);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = token.cancelled() => return,
        }
        let end = lease.borrow().news.ledger_end;
        if settled_at == Some(end) && rested + 1 < RESTS {
            rested += 1;
            continue;
        }
        (settled_at, rested) = (None, 0);
        let looked = async {
            let session = Session::open(&dial, "maintain", false, limit).await?;
            round(session).await
        };
        match looked.await {
            Ok((report, is_settled)) if report == Report::default() => {
                settled_at = is_settled.then_some(end);
            }
            Ok((report, _)) => tracing::info!(
                made = report.made,
                dropped = report.dropped,
                "pieces looked after"
            ),
            Err(error) => {
                tracing::warn!(%error, advice = error.advice(), "upkeep of the pieces failed; tried again later")
            }
        }
    }
}

/// One round over every partitioned table.
///
/// # Errors
/// A statement failed; what was done stays done, and the next round goes on from there.
pub async fn run_once(session: Session) -> Result<Report, Error> {
    Ok(round(session).await?.0)
}

/// One round, and whether nothing is left to do or to tell: another process may be at it, somebody's transaction in the way, or a row
/// where none may be.
async fn round(session: Session) -> Result<(Report, bool), Error> {
    let mut report = Report::default();
    let Some(keeper) = Keeper::begin(session).await? else {
        return Ok((report, false));
    };
    let mut is_settled = keeper.may_detach();
    for family in pieces::FAMILIES {
        make_ahead(&keeper, family, &mut report).await?;
        let gone = keeper.drop_passed(family).await?;
        metrics::counter!(observe::TAIL_PIECES_DROPPED, "parent" => family.parent).increment(gone);
        report.dropped += gone;
        is_settled &= !keeper.tell_undrawn(family).await?;
    }
    Ok((report, is_settled))
}

async fn make_ahead(keeper: &Keeper, family: &Family, report: &mut Report) -> Result<(), Error> {
    keeper.settle_orphans(family).await?;
    for _ in 0..STEPS_AT_MOST {
        let pieces = keeper.list(family).await?;
        let steps = plan(&pieces, keeper.head(family), family.width);
        let Some(step) = steps.into_iter().next() else {
            return Ok(());
        };
        match step {
            Step::FinishDetach(piece) => keeper.finish_detach(family, &piece).await?,
            Step::TakeAway(piece) if keeper.may_detach() => keeper.take_away(family, &piece).await?,
            // Somebody's transaction is open: the detach would wait for it. The next round may find a better moment.
            Step::TakeAway(_) => return Ok(()),
            Step::Make { lower, upper } => {
                keeper.make(family, lower, upper).await?;
                metrics::counter!(observe::TAIL_PIECES_MADE, "parent" => family.parent).increment(1);
                report.made += 1;
            }
        }
    }
    Ok(())
}
