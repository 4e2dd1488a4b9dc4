//! Pure: which stream of a topic something belongs to.
//!
//! A topic begins with one stream, which has no number. A topic of several partitions has one stream per partition. The two
//! are told apart also where a topic grew from the one to the others: the stream without a number is not partition 0.

use std::fmt;

/// One stream of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// The topic.
    pub topic: String,
    /// The partition; none for the one stream of a topic without partitions.
    pub partition: Option<u16>,
}

impl StreamId {
    /// The stream of a topic without partitions.
    #[must_use]
    pub fn whole(topic: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            partition: None,
        }
    }

    /// The stream that the ledger, the progress and the actions keep under `slot`: 0 is the stream without a number,
    /// n + 1 is partition n. None if it is neither.
    #[must_use]
    pub fn from_slot(topic: impl Into<String>, slot: i32) -> Option<Self> {
        let partition = match slot {
            0 => None,
            _ => Some(u16::try_from(slot.checked_sub(1)?).ok()?),
        };
        Some(Self {
            topic: topic.into(),
            partition,
        })
    }

    /// What the column `partition` of the ledger, the progress and the actions holds for it.
    #[must_use]
    pub fn slot(&self) -> i32 {
        self.partition.map_or(0, |partition| i32::from(partition) + 1)
    }
}

/// `<topic>` or `<topic>:<partition>`: as at the sink, without prefix and writer.
impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.partition {
            None => f.write_str(&self.topic),
            Some(partition) => write!(f, "{}:{partition}", self.topic),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_without_a_number_is_not_partition_0() {
        let whole = StreamId::whole("orders");
        let first = StreamId::from_slot("orders", 1).unwrap();
        assert_eq!((whole.slot(), whole.to_string()), (0, "orders".to_owned()));
        assert_eq!((first.slot(), first.to_string()), (1, "orders:0".to_owned()));
        assert_eq!(StreamId::from_slot("orders", 0), Some(whole));
        assert_eq!(StreamId::from_slot("orders", -1), None);
    }
}
