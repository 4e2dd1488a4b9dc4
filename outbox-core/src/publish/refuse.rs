//! A refusal outlives the term that made it.
//!
//! What was found at the sink may be gone when one looks again: the very parcel that found it moved the mark over it. So the
//! refusal is kept in the database before the term ends, and while it is open no relay of this database leads
//! ([`crate::tail::ledger::verify`]). A recovery closes it. If it cannot be kept, what was found is found once more by the next
//! connection, since nothing that was not judged is recorded as published ([`super::ends`]).

use super::leader::Leader;
use super::{Error, pg};
use crate::tail::ledger::Refusal;
use crate::tail::pg::cut::record_refusal;

impl Leader {
    /// Keeps what this term ends with, if it is a refusal that nobody has kept.
    pub(super) async fn keep_refusal(&mut self, error: &Error) {
        let Some(refusal) = error
            .refusal()
            .filter(|refusal| !matches!(refusal, Refusal::Kept(_)))
        else {
            return;
        };
        if let Err(error) = record_refusal(&self.session, refusal, self.publisher.epoch).await {
            tracing::error!(%error, "the refusal could not be kept: the next term looks again");
        }
    }

    /// Another leader of this database may have refused while this one led, having been stopped for long.
    pub(super) async fn look_for_refusals(&mut self) -> Result<(), Error> {
        match pg::open_refusal(&self.session).await? {
            Some(refused) => Err(Refusal::Kept(refused).into()),
            None => Ok(()),
        }
    }
}
