//! How much of an entry is kept with a dead letter. Pure.

/// More than any event that could be applied; what strangers write may have up to half a gigabyte in one field.
pub(crate) const ENTRY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The fields that are kept, name and value by turns, and how many bytes there were if they are not all of them.
pub(crate) fn kept(fields: &[(Vec<u8>, Vec<u8>)], most: usize) -> (Vec<&[u8]>, Option<usize>) {
    let flat = || {
        fields
            .iter()
            .flat_map(|(name, value)| [name.as_slice(), value.as_slice()])
    };
    let bytes: usize = flat().map(<[u8]>::len).sum();
    let mut left = most;
    let part = |field: &'_ [u8]| {
        let length = field.len().min(left);
        left -= length;
        length
    };
    let lengths: Vec<usize> = flat().map(part).collect();
    let kept = flat()
        .zip(lengths)
        .map(|(field, length)| &field[..length])
        .collect();
    (kept, (bytes > most).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Vec<(Vec<u8>, Vec<u8>)> {
        vec![
            (b"event".to_vec(), b"12345".to_vec()),
            (b"more".to_vec(), b"67".to_vec()),
        ]
    }

    #[test]
    fn all_of_an_entry_of_an_ordinary_size_is_kept() {
        let fields = fields();
        let all: Vec<&[u8]> = vec![b"event", b"12345", b"more", b"67"];
        assert_eq!(kept(&fields, 16), (all, None));
        assert_eq!(kept(&[], 16), (vec![], None));
    }

    #[test]
    fn the_beginning_of_a_giant_is_kept_and_its_size_told() {
        let fields = fields();
        let (kept, size) = kept(&fields, 8);
        let beginning: Vec<&[u8]> = vec![b"event", b"123", b"", b""];
        assert_eq!((kept, size), (beginning, Some(16)));
    }
}
