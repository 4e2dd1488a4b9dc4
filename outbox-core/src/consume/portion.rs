//! How many entries to ask for, so that an answer stays within a number of bytes, although nobody knows their size. Pure.

/// Bytes that one answer should not exceed.
const ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// What an entry is taken for before the first one was seen: as large as a payload may be by default.
const UNKNOWN_BYTES: usize = 256 * 1024;

/// Learns from the largest entries of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Portion {
    largest: usize,
    most: usize,
}

impl Portion {
    /// At most `most` entries at a time.
    pub(super) fn new(most: usize) -> Self {
        Self {
            largest: UNKNOWN_BYTES,
            most,
        }
    }

    /// How many to ask for next.
    pub(super) fn count(&self) -> usize {
        (ANSWER_BYTES / self.largest.max(1)).clamp(1, self.most.max(1))
    }

    /// An answer came, with entries of these sizes. A larger one counts at once, smaller ones little by little.
    pub(super) fn learn(&mut self, sizes: impl IntoIterator<Item = usize>) {
        if let Some(largest) = sizes.into_iter().max() {
            self.largest = largest.max(self.largest - self.largest / 4);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_for_many_small_ones_and_few_large_ones() {
        let mut portion = Portion::new(128);
        assert_eq!(portion.count(), 16, "nothing is known yet");
        portion.learn([16 * 1024 * 1024]);
        assert_eq!(portion.count(), 1);
        for _ in 0..50 {
            portion.learn([300, 200]);
        }
        assert_eq!(portion.count(), 128);
        portion.learn([300, 1024 * 1024]);
        assert_eq!(portion.count(), 4, "one large one is enough");
    }

    #[test]
    fn an_answer_is_bounded_once_the_sizes_are_known() {
        let mut portion = Portion::new(128);
        for size in [1, 1000, 40_000, 300_000, 5_000_000] {
            portion.learn([size]);
            let largest = portion.largest;
            assert!(largest >= size && (portion.count() == 1 || portion.count() * size <= ANSWER_BYTES));
        }
    }

    #[test]
    fn an_empty_answer_teaches_nothing() {
        let mut portion = Portion::new(128);
        portion.learn([]);
        assert_eq!(portion, Portion::new(128));
    }
}
