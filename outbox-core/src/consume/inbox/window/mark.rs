//! Pure: what the relay says beside a stream: how far it published, and how long entries stay.
//!
//! The mark of `<prefix><stream>` is the stream `<prefix>@mark:<stream>`. It has one entry, `<batch id>-0`, with the field
//! `retention`: seconds, 0 for ever. A relay that is older than the field does not write it.

use crate::event::EntryId;

/// What is known of a stream by its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::consume) struct Mark {
    /// The batch that was published last.
    pub(in crate::consume) batch_id: u64,
    /// For how many seconds entries stay on the stream; 0 for ever, none when the relay does not say.
    pub(in crate::consume) retention: Option<u64>,
}

/// The key of a stream's mark; none for a key without the prefix.
pub(in crate::consume) fn key(prefix: &str, stream: &str) -> Option<String> {
    let rest = stream.strip_prefix(prefix)?;
    Some(format!("{prefix}@mark:{rest}"))
}

/// Reads a mark's entry.
pub(in crate::consume) fn read(id: EntryId, fields: &[(Vec<u8>, Vec<u8>)]) -> Mark {
    let retention = fields.iter().find(|(name, _)| name == b"retention");
    Mark {
        batch_id: id.batch_id,
        retention: retention.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let pair = |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_mark_lies_beside_its_stream() {
        assert_eq!(
            key("outbox:", "outbox:t:3@eu").as_deref(),
            Some("outbox:@mark:t:3@eu")
        );
        assert_eq!(key("outbox:", "other:t"), None);
    }

    #[test]
    fn a_relay_that_does_not_say_leaves_the_retention_open() {
        let id = EntryId::new(5, 0);
        let old = read(id, &fields(&[("database", "d"), ("epoch", "1")]));
        assert_eq!((old.batch_id, old.retention), (5, None));
        let new = read(id, &fields(&[("epoch", "1"), ("retention", "604800")]));
        assert_eq!(new.retention, Some(604_800));
        assert_eq!(read(id, &fields(&[("retention", "a week")])).retention, None);
    }
}
