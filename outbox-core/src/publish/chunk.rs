//! Pure: how much of the log is read at once.
//!
//! Bytes bound what is held in memory, rows how long one statement takes. Both bound the payloads that a statement brings without
//! summing up their bytes: so large that all rows of a chunk might have them. With half the rows that is twice as much, so rows are
//! read by half chunks while there are payloads that a whole one has no room for.

/// A chunk counts so many times for streams that read together, one for each, up to this.
const TOGETHER: usize = 4;

/// The most that one read brings a stream that reads alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Rows.
    pub rows: usize,
    /// Bytes of payloads, with what a row counts besides.
    pub bytes: usize,
}

impl Chunk {
    /// For rows of which the widest lately had so many bytes.
    #[must_use]
    pub fn fitting(self, widest: usize) -> Self {
        if widest <= self.bytes / self.rows.max(1) {
            return self;
        }
        Self {
            rows: (self.rows / 2).max(1),
            ..self
        }
    }

    /// For so many streams that read together.
    #[must_use]
    pub fn together(self, streams: usize) -> Self {
        let times = streams.clamp(1, TOGETHER);
        Self {
            rows: self.rows.saturating_mul(times),
            bytes: self.bytes.saturating_mul(times),
        }
    }

    /// What each of so many streams is brought of it that read together and have about as many rows each.
    #[must_use]
    pub fn part(self, streams: u16) -> Self {
        let streams = usize::from(streams.max(1));
        let whole = self.together(streams);
        Self {
            rows: whole.rows.div_ceil(streams),
            bytes: whole.bytes.div_ceil(streams),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: Chunk = Chunk {
        rows: 2_000,
        bytes: 4_000_000,
    };

    #[test]
    fn where_a_payload_was_too_large_for_a_whole_chunk_half_of_it_is_read() {
        assert_eq!(CHUNK.fitting(2_000), CHUNK);
        let half = Chunk { rows: 1_000, ..CHUNK };
        assert_eq!(CHUNK.fitting(2_001), half, "the bytes stay what they are");
        assert_eq!(
            CHUNK.fitting(usize::MAX),
            half,
            "nor is more read where it is not known"
        );
        let one = Chunk { rows: 1, bytes: 10 };
        assert_eq!(one.fitting(11), one);
    }

    #[test]
    fn streams_that_read_together_share_four_chunks() {
        assert_eq!(CHUNK.together(1), CHUNK);
        assert_eq!(CHUNK.together(8).rows, 8_000);
        assert_eq!(CHUNK.part(1), CHUNK);
        assert_eq!(CHUNK.part(4), CHUNK);
        assert_eq!((CHUNK.part(8).rows, CHUNK.part(8).bytes), (1_000, 2_000_000));
        assert!(CHUNK.part(u16::MAX).rows > 0);
    }
}
