//! Drives a leader's term: cuts come in, lanes move, progress is recorded, until the lease or a connection is lost.
//!
//! One loop owns all state; everything slow is a future in flight that answers for one topic. The sink's connection is
//! opened after the lease, and compared with the ledger before anything is sent on it.

use std::time::Instant;

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::leader::Leader;
use super::term::Term;
use crate::tail::batch::Cut;

/// Publishes what `cuts` brings, and what was left before, until `token` is cancelled and what is in hand is confirmed.
///
/// # Errors
/// The lease is over, the database failed, or going on would break a guarantee.
pub async fn lead(term: Term, cuts: mpsc::Receiver<Cut>, token: CancellationToken) -> Result<(), Error> {
    let mut leader = Leader::start(term).await?;
    let ended = drive(&mut leader, cuts, token).await;
    if let Err(error) = &ended {
        leader.keep_refusal(error).await;
    }
    ended
}

async fn drive(
    leader: &mut Leader,
    mut cuts: mpsc::Receiver<Cut>,
    token: CancellationToken,
) -> Result<(), Error> {
    let mut record = tokio::time::interval(leader.options.progress_every);
    let mut compare = tokio::time::interval(leader.options.compare_every);
    for timer in [&mut record, &mut compare] {
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    let mut stop_by = Instant::now();
    loop {
        leader.check_lease()?;
        leader.move_lanes().await?;
        if leader.stopping && (leader.is_idle() || Instant::now() >= stop_by) {
            return leader.record_progress().await;
        }
        let patience = leader.until_next_try();
        // What is seldom ready comes first: under load something in flight is always done.
        tokio::select! {
            biased;
            () = token.cancelled(), if !leader.stopping => {
                cuts.close();
                leader.stopping = true;
                stop_by = Instant::now() + leader.options.drain_limit;
            }
            // With nothing to record, nothing wakes up for it.
            _ = record.tick(), if leader.has_progress() => leader.record_progress().await?,
            _ = compare.tick(), if !leader.stopping => leader.compare().await?,
            cut = cuts.recv(), if !leader.stopping => match cut {
                Some(cut) => leader.take(cut),
                // The tail ended: its own error says why.
                None => {
                    leader.stopping = true;
                    stop_by = Instant::now() + leader.options.drain_limit;
                }
            },
            Some(done) = leader.in_flight.next() => leader.settle(done).await?,
            () = tokio::time::sleep(patience) => {}
        }
    }
}
