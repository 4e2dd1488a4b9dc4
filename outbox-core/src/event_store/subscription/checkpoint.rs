//! Pure: where a partition is, and what its next page lies between.
//!
//! A difference is what is visible in the goal and not in what is done. It has two arms. *Late* rows are of transactions that `done`
//! lists as open; they may be anywhere, and are found by their transactions. *New* rows are of transactions at or above the xmax of
//! `done`; they are found by position, which needs a floor that they all lie above, or the whole log would be read each time.
//!
//! **The floor.** A transaction that appends to a stream has its id before it draws a position, since it locks the stream's row
//! first. But not every transaction at or above xmax began after the snapshot: xmax is one more than the highest that has *ended*, so
//! one that was open then may be above it, unlisted, with a position drawn long ago. So the floor is not the last position drawn when
//! the goal was taken. It is the one drawn before the transaction began that committed the checkpoint before (`drawn`): that
//! transaction has ended when the goal is taken, so the goal's xmax is above it, and whatever is at or above xmax has its id, and its
//! positions, from later than that reading.
//!
//! Before the first goal there is no such transaction, and the second difference would look through the whole store: so one is made
//! ([`Checkpoint::is_before_all`]), which only says what was drawn before it.
//!
//! **The top.** What is visible in the goal has drawn its positions before, so the last one drawn, read when the goal is taken or later,
//! is not below any of them.
//!
//! **The own transaction.** The goal is taken by the transaction that applies. A server does not list whoever asks among the open
//! ones, so a handler that appends would never be handed its own event, if any later transaction ended before the goal was taken: it would
//! count as seen. It is added to the open ones.
//!
//! **Eras.** When the database went back in time and a person opened an era, transaction ids may mean something else from there on.
//! What was appended before the era, up to its floor, is judged by the old snapshot, as data: it is not done if that does not see
//! it, or if it lies above everything that the snapshot can tell of. All of it is visible, since the era began under a lock. Then the
//! era begins with nothing seen.

use crate::tail::snapshot::Snapshot;

/// No transaction id is higher.
const LAST_TRANSACTION: u64 = i64::MAX as u64;

/// Where a partition is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Checkpoint {
    pub(super) era: i32,
    /// Everything up to here was appended before the era, and is done.
    pub(super) era_floor: i64,
    pub(super) done: Snapshot,
    pub(super) done_floor: i64,
    pub(super) done_through: i64,
    pub(super) goal: Option<Goal>,
    pub(super) after_position: i64,
    pub(super) drawn: i64,
}

/// What is being worked to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Goal {
    pub(super) snapshot: Snapshot,
    pub(super) floor: i64,
    pub(super) through: i64,
}

/// The era after that of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct NextEra {
    pub(super) era: i32,
    pub(super) floor: i64,
}

/// What the next page lies between.
#[derive(Debug, PartialEq)]
pub(super) struct Bounds {
    pub(super) floor: i64,
    /// Above it nothing is done, whatever the transaction ids are.
    pub(super) beyond: i64,
    pub(super) after: i64,
    pub(super) through: i64,
}

/// The server's transaction ids are behind those of a checkpoint.
#[derive(Debug, PartialEq)]
pub(super) struct WentBack {
    pub(super) now: u64,
    pub(super) then: u64,
}

impl Checkpoint {
    /// Works to what the server shows now, to this transaction. `through`: the last position drawn.
    pub(super) fn begin(&mut self, seen: Snapshot, through: i64, own: u64) -> Result<(), WentBack> {
        if seen.xmax() < self.done.xmax() {
            return Err(WentBack {
                now: seen.xmax(),
                then: self.done.xmax(),
            });
        }
        self.goal = Some(Goal {
            snapshot: seen.leaving_open(own),
            floor: self.drawn,
            through,
        });
        self.after_position = 0;
        Ok(())
    }

    /// Works to the end of its era.
    pub(super) fn leave_era(&mut self, next: NextEra) {
        self.goal = Some(Goal {
            snapshot: everything(),
            floor: next.floor,
            through: next.floor,
        });
        self.after_position = 0;
    }

    /// Nothing was begun yet, and something lies before it (`drawn`: the last position): a commit of its own comes first.
    pub(super) fn is_before_all(&self, drawn: i64) -> bool {
        drawn > 0 && self.drawn == 0 && self.goal.is_none() && self.done == nothing()
    }

    /// What the next page of the difference lies between.
    pub(super) fn bounds(&self) -> Option<Bounds> {
        self.goal.as_ref().map(|goal| Bounds {
            floor: self.done_floor.max(self.era_floor),
            beyond: if goal.is_everything() {
                self.done_through
            } else {
                i64::MAX
            },
            after: self.after_position.max(self.era_floor),
            through: goal.through,
        })
    }

    /// A page was applied: up to this position, or all there is.
    pub(super) fn pass(&mut self, last_position: Option<i64>, is_all: bool, next: Option<NextEra>) {
        if !is_all {
            self.after_position = last_position
                .unwrap_or(self.after_position)
                .max(self.after_position);
            return;
        }
        self.after_position = 0;
        match (self.goal.take(), next) {
            (Some(goal), Some(next)) if goal.is_everything() => {
                self.era = next.era;
                self.era_floor = next.floor;
                self.done = nothing();
                self.done_floor = next.floor;
                self.done_through = next.floor;
            }
            (Some(goal), _) => {
                self.done = goal.snapshot;
                self.done_floor = goal.floor;
                self.done_through = goal.through;
            }
            (None, _) => {}
        }
    }
}

impl Goal {
    fn is_everything(&self) -> bool {
        self.snapshot.xmin() == LAST_TRANSACTION
    }
}

fn everything() -> Snapshot {
    format!("{LAST_TRANSACTION}:{LAST_TRANSACTION}:")
        .parse()
        .expect("a snapshot")
}

/// Every transaction id is at least 3.
fn nothing() -> Snapshot {
    "3:3:".parse().expect("a snapshot")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(text: &str) -> Snapshot {
        text.parse().expect("a snapshot")
    }

    fn fresh() -> Checkpoint {
        Checkpoint {
            era: 1,
            era_floor: 0,
            done: nothing(),
            done_floor: 0,
            done_through: 0,
            goal: None,
            after_position: 0,
            drawn: 0,
        }
    }

    #[test]
    fn the_floor_of_a_goal_is_what_was_drawn_before_the_checkpoint_before() {
        let mut checkpoint = fresh();
        checkpoint.begin(snapshot("10:12:10"), 7, 11).expect("later");
        checkpoint.drawn = 7;
        assert_eq!(
            checkpoint.goal.as_ref().map(|goal| goal.snapshot.to_string()),
            Some("10:12:10,11".to_owned())
        );
        checkpoint.pass(Some(7), true, None);
        assert_eq!((checkpoint.done_floor, checkpoint.done_through), (0, 7));
        checkpoint.begin(snapshot("20:20:"), 30, 20).expect("later");
        checkpoint.drawn = 30;
        checkpoint.pass(Some(12), false, None);
        assert_eq!(checkpoint.after_position, 12);
        checkpoint.pass(None, true, None);
        assert_eq!((checkpoint.done_floor, checkpoint.done_through), (7, 30));
    }

    #[test]
    fn a_place_is_made_before_the_first_difference_so_that_the_second_has_a_floor() {
        let mut checkpoint = fresh();
        assert!(!checkpoint.is_before_all(0));
        assert!(checkpoint.is_before_all(40));
        checkpoint.drawn = 40;
        assert!(!checkpoint.is_before_all(40));
        checkpoint.begin(snapshot("10:10:"), 40, 10).expect("later");
        checkpoint.pass(None, true, None);
        assert_eq!(checkpoint.done_floor, 40);
    }

    #[test]
    fn a_server_behind_its_checkpoint_is_refused() {
        let mut checkpoint = fresh();
        checkpoint.done = snapshot("50:50:");
        assert_eq!(
            checkpoint.begin(snapshot("40:40:"), 9, 40),
            Err(WentBack { now: 40, then: 50 })
        );
        assert_eq!(checkpoint.goal, None);
    }

    #[test]
    fn an_era_is_entered_with_everything_before_it_done() {
        let mut checkpoint = fresh();
        (checkpoint.done, checkpoint.done_floor, checkpoint.done_through) = (snapshot("50:60:55"), 80, 100);
        let next = NextEra { era: 2, floor: 140 };
        checkpoint.leave_era(next);
        let bounds = checkpoint.bounds().expect("a goal");
        assert_eq!((bounds.floor, bounds.beyond, bounds.through), (80, 100, 140));
        checkpoint.pass(Some(140), true, Some(next));
        assert_eq!(
            (checkpoint.era, checkpoint.era_floor, checkpoint.done_floor),
            (2, 140, 140)
        );
        // On the new server transaction ids begin low again.
        checkpoint
            .begin(snapshot("9:9:"), 141, 9)
            .expect("an era of its own");
        let bounds = checkpoint.bounds().expect("a goal");
        assert_eq!((bounds.beyond, bounds.after), (i64::MAX, 140));
    }
}
