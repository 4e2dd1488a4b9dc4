//! The difference that a partition works through: found where the checkpoint left it, or begun.

use super::Error;
use super::checkpoint::{Bounds, Checkpoint, Goal, NextEra};
use super::pg::{Fenced, Page, PgConnection, Store};

/// A difference, and where the partition is in it.
pub(super) struct Open {
    checkpoint: Checkpoint,
    goal: Goal,
    bounds: Bounds,
    next_era: Option<NextEra>,
    own: u64,
}

/// Goes on with the difference in hand, or begins the next: to what the server shows now, or to the end of an era.
///
/// # Errors
/// When the database does not answer, or went back in time.
pub(super) async fn open(tx: &mut PgConnection, fenced: &Fenced) -> Result<Option<Open>, Error> {
    let mut checkpoint = fenced.checkpoint.clone();
    match (&checkpoint.goal, fenced.next_era) {
        (Some(_), _) => {}
        (None, Some(next)) => checkpoint.leave_era(next),
        (None, None) => {
            let (seen, through) = Store::take_goal(tx).await?;
            checkpoint
                .begin(seen, through, fenced.own)
                .map_err(|back| Error::WentBack {
                    said: format!(
                        "its next transaction is {}, and the checkpoint knows of {}",
                        back.now, back.then
                    ),
                })?;
        }
    }
    let goal = checkpoint.goal.clone();
    Ok(goal.zip(checkpoint.bounds()).map(|(goal, bounds)| Open {
        checkpoint,
        goal,
        bounds,
        next_era: fenced.next_era,
        own: fenced.own,
    }))
}

/// Says what was drawn before anything was begun, and nothing else.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn mark_beginning(
    store: &Store,
    tx: &mut PgConnection,
    partition: i32,
    fenced: &Fenced,
    drawn: i64,
) -> Result<(), Error> {
    let beginning = Checkpoint {
        drawn,
        ..fenced.checkpoint.clone()
    };
    store
        .advance(tx, (partition, fenced.own), &beginning, 0, None)
        .await
}

impl Open {
    /// The next page of it.
    pub(super) async fn page(
        &self,
        store: &Store,
        tx: &mut PgConnection,
        partition: i32,
        at_most: u32,
    ) -> Result<Page, Error> {
        store
            .read_page(tx, partition, &self.checkpoint, &self.goal, &self.bounds, at_most)
            .await
    }

    /// A page is done. `drawn`: the last position drawn before the transaction had an id.
    ///
    /// # Errors
    /// When this is not the transaction any more that took the lease: a handler ended it.
    pub(super) async fn pass(
        &mut self,
        store: &Store,
        tx: &mut PgConnection,
        partition: i32,
        drawn: i64,
        page: &Page,
    ) -> Result<(), Error> {
        self.checkpoint.drawn = drawn;
        self.checkpoint
            .pass(page.last_position, page.is_all, self.next_era);
        let newest = page.events.iter().map(|(_, event)| event.recorded_at).max();
        store
            .advance(
                tx,
                (partition, self.own),
                &self.checkpoint,
                page.events.len(),
                newest,
            )
            .await
    }
}
