//! Pure: how carefully the next steps of a partition are made.

use super::obstacle::{Met, Obstacle};
use super::step::Care;

/// How carefully the next steps are made, and how many of them.
#[derive(Debug, Default)]
pub(super) struct Careful {
    care: Option<(Care, usize)>,
    /// Steps in a row that met something.
    hindered: u32,
    met: Met,
}

impl Careful {
    /// How the next step is made.
    pub(super) fn next(&mut self) -> Care {
        match self.care.take() {
            Some((care, times)) => {
                self.care = (times > 1).then_some((care, times - 1));
                care
            }
            None => Care::Whole,
        }
    }

    /// The checkpoint moved.
    pub(super) fn moved(&mut self) {
        self.hindered = 0;
        self.met.clear();
    }

    /// The next steps are made so.
    pub(super) fn again(&mut self, care: Care, times: usize) {
        self.care = Some((care, times.max(1)));
    }

    /// A step that was made with this care met something, at an event of a page of so many. True: that event has failed.
    pub(super) fn hindered(
        &mut self,
        care: Care,
        obstacle: Obstacle,
        event: (i64, i64),
        events: usize,
    ) -> bool {
        if care == Care::Alone {
            if self.met.is_failure(event, obstacle) {
                return true;
            }
            let left = self.care.map_or(0, |(_, times)| times);
            self.again(Care::Alone, left + 1);
            return false;
        }
        self.hindered += 1;
        if self.hindered >= obstacle.whole_max() {
            self.hindered = 0;
            self.again(Care::Alone, events);
        } else if care == Care::Each {
            self.again(Care::Each, 1);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_meets_something_again_and_again_is_tried_alone_and_then_has_failed() {
        for obstacle in [Obstacle::Conflict, Obstacle::Shortage] {
            let mut careful = Careful::default();
            for _ in 0..obstacle.whole_max() {
                assert_eq!(careful.next(), Care::Whole);
                assert!(!careful.hindered(Care::Whole, obstacle, (1, 7), 3));
            }
            for _ in 1..obstacle.alone_max() {
                assert_eq!(careful.next(), Care::Alone);
                assert!(!careful.hindered(Care::Alone, obstacle, (1, 7), 1));
            }
            assert_eq!(careful.next(), Care::Alone);
            assert!(careful.hindered(Care::Alone, obstacle, (1, 7), 1));
            // The rest of the page, by itself too.
            assert_eq!([careful.next(), careful.next()], [Care::Alone; 2]);
            assert_eq!(careful.next(), Care::Whole);
        }
    }

    #[test]
    fn what_passes_in_between_is_no_failure() {
        let mut careful = Careful::default();
        for _ in 0..100 {
            assert!(!careful.hindered(Care::Alone, Obstacle::Conflict, (1, 7), 1));
            careful.moved();
        }
    }
}
