//! Pure: what was in the way of an attempt and mostly passes by itself, and when it counts as a failed attempt all the same.
//!
//! Another transaction that was in the way, or too little of something on the server, is usually over by the next attempt. It may also be
//! the answer to one event each time: a function that raises 40001, a statement that wants more memory than there is. Tried for ever, it would
//! keep its partition where it is. So it is counted: first the page is cut down to single events, and then the one that meets it
//! again and again has failed, like any other.

use std::collections::HashMap;
use std::time::Duration;

/// What may pass by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// Two transactions met (40001, 40P01).
    Conflict,
    /// The server has too little room, memory or connections (53100, 53200, 53300). A smaller transaction may need less.
    Shortage,
}

impl Obstacle {
    pub(super) fn of_code(code: &str) -> Option<Self> {
        match code {
            "40001" | "40P01" => Some(Self::Conflict),
            "53100" | "53200" | "53300" => Some(Self::Shortage),
            _ => None,
        }
    }

    /// After so many in a row a page is applied one event at a time.
    pub(super) fn whole_max(self) -> u32 {
        match self {
            Self::Conflict => 10,
            Self::Shortage => 3,
        }
    }

    /// So many in a row at one event by itself are a failed attempt. Conflicts pass within milliseconds; shortages are waited for longer.
    pub(super) fn alone_max(self) -> u32 {
        match self {
            Self::Conflict => 30,
            Self::Shortage => 3,
        }
    }

    /// The longest pause before the next try.
    pub(super) fn pause_max(self) -> Duration {
        match self {
            Self::Conflict => Duration::from_millis(50),
            Self::Shortage => Duration::from_secs(2),
        }
    }
}

/// More than so many events are not remembered: those of before are counted anew.
const EVENTS_MAX: usize = 10_000;

/// How often in a row single events met something.
#[derive(Debug, Default)]
pub(super) struct Met(HashMap<(i64, i64), u32>);

impl Met {
    /// The event of this stream and version met it once more. True: that is a failed attempt, and counted anew from here.
    pub(super) fn is_failure(&mut self, event: (i64, i64), obstacle: Obstacle) -> bool {
        if self.0.len() >= EVENTS_MAX {
            self.0.clear();
        }
        let times = self.0.entry(event).or_default();
        *times += 1;
        if *times < obstacle.alone_max() {
            return false;
        }
        self.0.remove(&event);
        true
    }

    /// The event passed, or failed in another way.
    pub(super) fn forget(&mut self, event: (i64, i64)) {
        self.0.remove(&event);
    }

    /// Nothing met anything.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
