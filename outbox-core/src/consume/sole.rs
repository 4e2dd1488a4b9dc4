//! A call that is all that its transaction does: no savepoint before it, and no proof of its own behind it.
//!
//! The statement that comes next, which moves the chain or asks whether the transaction is whole, fails where the proof would: in
//! a transaction that was aborted, and in one that was ended, or is another one. It may take that place because nothing is written
//! in between: not where an event is parked, given up, given back or was in the inbox before, nor where input is told by what it
//! says. What such a call did is undone with its transaction; what follows from that is done in another one, with savepoints.

use std::time::Duration;

use super::attempt::{IDLE, Stopped, is_handlers_doing, left_behind, severed};
use super::batch::{Batch, Halt};
use super::fate::{Items, Purpose};
use super::pg::{self, PgConnection, Transaction};
use super::place::Place;
use super::{Error, Failure};
use crate::event::EntryId;

impl Batch<'_> {
    /// Whether a call for so many, from the first one on, is all that the transaction does if it succeeds.
    pub(super) fn is_all(&self, items: &Items, count: usize) -> bool {
        let deduplicated = &self.place.settings().deduplicate;
        matches!(self.purpose, Purpose::Apply)
            && count == items.len()
            && items.iter().all(|item| item.attempts == 0)
            && !deduplicated.contains_key(&self.place.stream.topic)
    }

    /// What must fail if the transaction is not as it was begun. After a call that is all of it this is the first to tell.
    pub(super) async fn prove(
        &self,
        tx: &mut PgConnection,
        items: &Items,
        head: Option<EntryId>,
    ) -> Result<(), Halt> {
        if !self.is_sole {
            return Ok(());
        }
        let Err(error) = finish(self.place, tx, head).await else {
            return Ok(());
        };
        let stopped = unproven(error, self.took);
        let id = match (items, &stopped) {
            // Whom another transaction met is not at fault, but one of them has to stand for it.
            ([item], _) | ([item, ..], Stopped::Conflict(_)) => Some(item.id),
            _ => None,
        };
        Err(Halt { id, stopped })
    }
}

/// Moves the chain, or asks whether the transaction is whole: from here on the commit is ours.
pub(super) async fn finish(place: &Place, tx: &mut PgConnection, head: Option<EntryId>) -> Result<(), Error> {
    match head {
        Some(head) => place.store().move_passed(tx, &place.stream.key, head).await,
        None => place.store().prove_whole(tx).await,
    }
}

/// The call answered success, and the statement behind it failed.
fn unproven(error: Error, took: Duration) -> Stopped {
    let refused = match &error {
        // A server that is slow, or has no room, is not the handler's doing.
        Error::Slow { .. } => return Stopped::Outage(error),
        Error::Postgres { code: Some(code), .. } if code.starts_with("53") => return Stopped::Outage(error),
        Error::Postgres { code: Some(code), .. } => Some(Failure::of_commit(code, &error)),
        _ => None,
    };
    match (left_behind(error, took), refused) {
        (Err(stopped), _) => stopped,
        (Ok(failure), _) if [IDLE, pg::ENDED].contains(&failure.class.as_str()) => {
            Stopped::Lost { failure, took }
        }
        // What the handler set for the transaction may be at fault: a role, a limit of time. It would hold for those behind it, too: each is
        // tried in a transaction of its own.
        (Ok(failure), Some(refused)) if failure.class != pg::ABORTED => Stopped::Lost {
            failure: refused,
            took,
        },
        (Ok(failure), _) => Stopped::Undone { failure, took },
    }
}

/// Undoes a transaction whose only call failed. Says what else is lost with it, if that fails.
pub(super) async fn undo(mut tx: Transaction<'_>, failure: &Failure, took: Duration) -> Result<(), Stopped> {
    // To undo what is not there is no error, and what a handler set behind its own end would stay with the connection.
    let undone = match pg::is_there(&mut tx).await {
        Ok(()) => pg::rollback(tx).await,
        Err(error) => Err(error),
    };
    let Err(error) = undone else {
        return Ok(());
    };
    if failure.class == IDLE || is_handlers_doing(&error) {
        let failure = failure.clone();
        return Err(Stopped::Lost { failure, took });
    }
    Err(severed(&failure.text, took))
}
