//! Detaching a piece of the log: nothing goes that is not on its streams, also what was drawn there long ago and commits late.
//!
//! One transaction drew a position in the old piece and commits at any time; another one appends to the next piece. A cut sees
//! the pieces that are attached at that moment, and its snapshot covers every transaction all the same: a row in a detached
//! piece is out of its sight, and of that of every cut to come.

use crate::explore::{Protocol, those};
use crate::step::{Next, Who};

/// What is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// Nothing.
    Nothing,
    /// A piece is detached when whoever drew a position in it has ended.
    Settled,
    /// After the detach it is looked for rows that are not published. Without waiting for who drew a position either.
    Recheck,
    /// The same, while it is waited for them.
    RecheckAlone,
    /// A piece goes when every stream has passed it.
    Passed,
}

/// The model and its bounds.
#[derive(Clone, Copy, Debug)]
pub struct Pieces {
    /// What is taken away.
    pub without: Without,
    /// Keepers that die in the middle.
    pub deaths: u8,
}

const WRITERS: usize = 2;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Writer {
    Idle,
    /// It drew its position, and has inserted its row.
    Open,
    Committed,
    Gone,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Piece {
    Attached,
    /// New statements do not see it; who inserted before is waited for.
    Detaching,
    Detached,
    Dropped,
}

/// A state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    writers: [Writer; WRITERS],
    /// Visible in the last batch's snapshot.
    seen: [bool; WRITERS],
    /// In a batch.
    cut: [bool; WRITERS],
    published: [bool; WRITERS],
    piece: Piece,
    /// A keeper is at work, and what it took for published when it began.
    keeper: Option<[bool; WRITERS]>,
    deaths: u8,
}

/// Committed, and dropped or passed over.
pub const LOST: &str = "G1 nothing is lost";

/// The writer whose position is in the old piece.
const OLD: usize = 0;

impl Pieces {
    fn keep(&self, state: &State, next: &mut Next<State>) {
        let who = Who::Relay(0);
        let mut reached = state.clone();
        let Some(passed) = state.keeper else {
            if state.piece != Piece::Dropped {
                reached.keeper = Some(state.published);
                next.step(who, "begin upkeep", 0, reached);
            }
            return;
        };
        let holds_unpassed = state.writers[OLD] == Writer::Committed && !passed[OLD];
        match state.piece {
            Piece::Attached => {
                let is_settled = !matches!(state.writers[OLD], Writer::Open | Writer::Idle);
                let waits = !matches!(self.without, Without::Settled | Without::Recheck);
                let may = !holds_unpassed || self.without == Without::Passed;
                if may && (is_settled || !waits) {
                    reached.piece = Piece::Detaching;
                    next.step(who, "begin to detach", 0, reached.clone());
                }
                reached.piece = state.piece;
                reached.keeper = None;
                next.step(who, "end upkeep", 0, reached);
            }
            Piece::Detaching => {
                if state.writers[OLD] != Writer::Open {
                    reached.piece = Piece::Detached;
                    next.step(who, "finish the detach", 0, reached);
                }
            }
            Piece::Detached => {
                let looks = !matches!(
                    self.without,
                    Without::Recheck | Without::RecheckAlone | Without::Passed
                );
                if holds_unpassed && looks {
                    reached.piece = Piece::Attached;
                    reached.keeper = None;
                    next.step(who, "attach it again", 0, reached);
                } else {
                    reached.piece = Piece::Dropped;
                    reached.keeper = None;
                    next.step(who, "drop it", 0, reached);
                }
            }
            Piece::Dropped => {}
        }
        if state.deaths > 0 {
            let mut dead = state.clone();
            dead.keeper = None;
            dead.deaths -= 1;
            next.fault(who, "die", 0, dead);
        }
    }
}

impl Protocol for Pieces {
    type State = State;

    fn start(&self) -> State {
        State {
            writers: [Writer::Idle; WRITERS],
            seen: [false; WRITERS],
            cut: [false; WRITERS],
            published: [false; WRITERS],
            piece: Piece::Attached,
            keeper: None,
            deaths: self.deaths,
        }
    }

    fn next(&self, state: &State, next: &mut Next<State>) {
        for (at, writer) in state.writers.iter().enumerate() {
            let who = Who::Writer(at as u8);
            let mut reached = state.clone();
            match writer {
                // The position in the old piece is drawn before that of the other, which is in the next one.
                Writer::Idle
                    if at == OLD && state.piece == Piece::Attached
                        || at != OLD && state.writers[OLD] != Writer::Idle =>
                {
                    reached.writers[at] = Writer::Open;
                    next.step(who, "append", at as u8, reached);
                }
                Writer::Open => {
                    let mut undone = state.clone();
                    undone.writers[at] = Writer::Gone;
                    next.step(who, "roll back", at as u8, undone);
                    reached.writers[at] = Writer::Committed;
                    next.step(who, "commit", at as u8, reached);
                }
                _ => {}
            }
        }
        let is_in_sight = |at: usize| at != OLD || state.piece == Piece::Attached;
        let is_new = |at: usize| state.writers[at] == Writer::Committed && !state.seen[at];
        if (0..WRITERS).any(|at| is_new(at) && is_in_sight(at)) {
            let mut reached = state.clone();
            for at in 0..WRITERS {
                reached.cut[at] |= is_new(at) && is_in_sight(at);
                reached.seen[at] |= is_new(at);
            }
            next.step(Who::Relay(0), "cut", 0, reached);
        }
        for at in 0..WRITERS {
            if state.cut[at] && !state.published[at] && is_in_sight(at) {
                let mut reached = state.clone();
                reached.published[at] = true;
                next.step(Who::Relay(0), "publish", at as u8, reached);
            }
        }
        self.keep(state, next);
    }

    fn broken(&self, state: &State) -> Vec<&'static str> {
        let is_gone = |at: usize| {
            let is_committed = state.writers[at] == Writer::Committed;
            let is_passed_over = state.seen[at] && !state.cut[at];
            let is_dropped = at == OLD && state.piece == Piece::Dropped && !state.published[at];
            is_committed && (is_passed_over || is_dropped)
        };
        those(&[((0..WRITERS).any(is_gone), LOST)])
    }

    fn is_done(&self, state: &State) -> bool {
        (0..WRITERS).all(|at| state.writers[at] == Writer::Gone || state.published[at])
            && state.piece == Piece::Dropped
    }
}
