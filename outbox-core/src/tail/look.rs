//! How a leader looks for what is next: by the statement that costs least for what is likely there.
//!
//! Most looks find nothing where events come one by one, and nearly all others find a few. So it is asked first whether there is
//! anything, unless that is expected; then a few are cut; and only what is more than that is counted before it is read. All three
//! find the same rows. Which of them is asked is a guess, and a wrong one costs time and nothing else.

use super::Error;
use super::batch::{Batch, Cut};
use super::pg::Session;
use super::pg::cut::{self, CutBounds};

/// How far above what was drawn pieces of the log are looked at. Less than the narrowest piece is wide, and so much that it is
/// seldom drawn between two looks: that costs another round trip.
const AHEAD: i64 = 100_000;

/// What the looks before tell about the next one.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// Pieces of the log that begin above are ahead.
    through: i64,
    /// Events of the batch before, until the next look.
    before: i64,
}

impl Sight {
    /// Whether there is anything to cut after `head`, as far as that is worth a question.
    pub(super) async fn expects(
        &self,
        session: &Session,
        head: &Batch,
        bounds: CutBounds,
    ) -> Result<bool, Error> {
        // Where several came at once, others came meanwhile.
        if self.before > 1 {
            return Ok(true);
        }
        cut::has_arrived(session, head, bounds, self.through).await
    }

    /// Cuts the batch after `head`, if there is anything to cut.
    pub(super) async fn cut(
        &mut self,
        session: &Session,
        head: &Batch,
        bounds: CutBounds,
    ) -> Result<Option<Cut>, Error> {
        let is_flood = std::mem::take(&mut self.before) > bounds.rows;
        if !is_flood {
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
            }
        }
        cut::cut_batch(session, head, bounds).await
    }

    /// So many events were in a batch.
    pub(super) fn found(&mut self, events: i64) {
        self.before = events;
    }
}

/// Gives the doorbell's lock back, if it is held.
pub(super) async fn wake_up(session: &Session, is_asleep: bool) -> Result<(), Error> {
    if is_asleep {
        cut::wake_up(session).await?;
    }
    Ok(())
}
