//! Pure: which partition of a topic an event belongs to.
//!
//! The same as `outbox.partition_of` in SQL, which is what a batch is cut by; both are documented for other languages in
//! `docs/wire-format.md`, with test vectors.

use sha2::{Digest, Sha256};

use super::stream::StreamId;
use crate::event::Event;

/// The partition of `key` in a topic of so many: the first four bytes of the SHA-256 of its UTF-8 text as an unsigned number,
/// most significant byte first, modulo the number of partitions. An event without a key has its id instead.
///
/// ```
/// assert_eq!(outbox_core::tail::partition_of("customer-42", 8), 3);
/// ```
#[must_use]
pub fn partition_of(key: &str, partitions: u16) -> u16 {
    let digest = Sha256::digest(key.as_bytes());
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    // A remainder is smaller than the number of partitions.
    u16::try_from(number % u32::from(partitions.max(1))).unwrap_or(0)
}

impl StreamId {
    /// The stream of an event in a topic that has so many partitions.
    #[must_use]
    pub fn of(topic: String, event: &Event, partitions: u16) -> Self {
        let partition =
            (partitions > 1).then(|| partition_of(event.key.as_deref().unwrap_or(&event.id), partitions));
        Self { topic, partition }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_partitions_that_the_documentation_says() {
        // SHA-256 of nothing begins with e3b0c442, that of "abc" with ba7816bf (FIPS 180-4).
        assert_eq!(partition_of("", 1024), (0xe3b0_c442_u32 % 1024) as u16);
        assert_eq!(partition_of("abc", 1000), (0xba78_16bf_u32 % 1000) as u16);
        assert_eq!(partition_of("abc", 1), 0);
    }

    #[test]
    fn an_event_without_a_key_goes_by_its_id_and_a_topic_of_one_has_no_numbers() {
        let mut event = Event::new("7d444840-9dc0-11d1-b245-5ffdce74fad2", "/s", "t");
        let by_id = StreamId::of("t".to_owned(), &event, 64).partition;
        assert_eq!(
            by_id,
            Some(partition_of("7d444840-9dc0-11d1-b245-5ffdce74fad2", 64))
        );
        event.key = Some("k".to_owned());
        assert_eq!(
            StreamId::of("t".to_owned(), &event, 64).partition,
            Some(partition_of("k", 64))
        );
        assert_eq!(StreamId::of("t".to_owned(), &event, 1), StreamId::whole("t"));
    }
}
