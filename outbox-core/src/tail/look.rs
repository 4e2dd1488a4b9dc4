//! How a leader looks for what is next: by the statements that cost least for what is likely there.
//!
//! Most looks find nothing where events come one by one, and nearly all others find a few. So it is looked first, by a statement that
//! only reads and brings what it finds, and what it found is cut as it is. Where more is expected or met, or something that the database must
//! decide, a few are cut by the statement that finds them; and only what is more than that is counted before it is read. What has gathered
//! while no relay was there is counted apart before it is cut. All of them find the same rows. Which of them is asked is a guess, and a
//! wrong one costs time and nothing else.

use super::batch::{Batch, Cut};
use super::pg::cut::{self, CutBounds};
use super::pg::look::{self, Along, Looked};
use super::pg::{Session, far};
use super::{Error, Kind};

/// How far above what was drawn pieces of the log are looked at. Less than the narrowest piece is wide, and so much that it is
/// seldom drawn between two looks: that costs another round trip. Where more than that is new it is worth to be counted apart: a statement
/// and three settings more cost a millisecond, and this many rows save some sixty.
const AHEAD: i64 = 100_000;

/// Behind a batch of more events than this the next one is not looked for, but cut: as many have come meanwhile.
const LOOKED_FOR: i64 = 32;
/// The same where what is found cannot be cut as it is: where several came at once, others came meanwhile.
const ASKED_FOR: i64 = 1;

/// What the looks before tell about the next one.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// Pieces of the log that begin above are ahead.
    through: i64,
    /// Events of the batch before, until the next look.
    before: i64,
    /// The last look saw topics with partitions: what is found is for the database to lay out.
    has_partitions: bool,
}

/// What is there.
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// A few rows, which can be cut as they are.
    Few(Looked),
    /// It is for the statements that cut to say.
    Unknown,
}

impl Sight {
    /// Looks for what there is to cut after `head`, as far as that is worth a question. `rung`: there is something, most likely.
    pub(super) async fn look(
        &mut self,
        session: &Session,
        head: &Batch,
        bounds: CutBounds,
        rung: bool,
    ) -> Result<Found, Error> {
        let may_be_few = !self.has_partitions && !session.is_pooled();
        let (is_worth_it, along) = if may_be_few {
            (self.before <= LOOKED_FOR, Along::Few)
        } else {
            (self.before <= ASKED_FOR && !rung, Along::Nothing)
        };
        if !is_worth_it {
            return Ok(Found::Unknown);
        }
        let looked = look::look(session, head, bounds, self.through, along).await?;
        self.has_partitions = looked.has_partitions;
        Ok(if looked.is_empty(self.through) {
            self.before = 0;
            Found::Nothing
        } else if looked.is_plain(self.through) && may_be_few {
            Found::Few(looked)
        } else {
            Found::Unknown
        })
    }

    /// Cuts the batch after `head`, of what was found, if there is anything to cut.
    pub(super) async fn cut(
        &mut self,
        session: &Session,
        head: &Batch,
        bounds: CutBounds,
        found: Found,
    ) -> Result<Option<Cut>, Error> {
        match found {
            Found::Nothing => return Ok(None),
            Found::Few(looked) => {
                if let Some(cut) = look::cut_looked(session, head, bounds, &looked).await? {
                    self.before = 0;
                    return Ok(Some(cut));
                }
            }
            Found::Unknown => {}
        }
        let before = std::mem::take(&mut self.before);
        if before > AHEAD
            && let Some(cut) = cut_far(session, head, bounds).await?
        {
            return Ok(Some(cut));
        }
        if before <= bounds.rows {
            // The second time with what the first one said.
            for _ in 0..2 {
                let Some(few) = cut::cut_few(session, head, bounds, self.through).await? else {
                    return Ok(None);
                };
                let is_beyond = few.drawn > self.through;
                self.through = self.through.max(few.drawn.saturating_add(AHEAD));
                if few.cut.is_some() {
                    return Ok(few.cut);
                }
                if !is_beyond {
                    break;
                }
                if let Some(cut) = cut_far(session, head, bounds).await? {
                    return Ok(Some(cut));
                }
            }
        }
        cut::cut_batch(session, head, bounds).await
    }

    /// So many events were in a batch.
    pub(super) fn found(&mut self, events: i64) {
        self.before = events;
    }
}

/// Cuts the batch after `head`, if so much is new that it is worth to be counted apart, and if that can be done.
async fn cut_far(session: &Session, head: &Batch, bounds: CutBounds) -> Result<Option<Cut>, Error> {
    let Some(found) = far::find_far(session, head, bounds, AHEAD).await? else {
        return Ok(None);
    };
    match far::cut_far(session, head, bounds, found).await {
        // One statement alone needs no other process and no memory shared with it, and nobody's commit is in its way.
        Err(error) if matches!(error.kind(), Kind::Statement | Kind::Resources) => {
            tracing::warn!(%error, "a huge batch could not be counted apart: it is counted by the statement that cuts it");
            Ok(None)
        }
        cut => cut,
    }
}

/// Gives the doorbell's lock back, if it is held.
pub(super) async fn wake_up(session: &Session, is_asleep: bool) -> Result<(), Error> {
    if is_asleep {
        cut::wake_up(session).await?;
    }
    Ok(())
}
