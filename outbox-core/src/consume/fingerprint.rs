//! Which failures are alike: the type of the event, the class of the error, and its text without what differs. Pure.

use sha2::{Digest, Sha256};

/// Names a group of failures: the first eight bytes of a hash, in hex.
#[must_use]
pub fn fingerprint(r#type: &str, class: &str, text: &str) -> String {
    let mut hash = Sha256::new();
    for part in [r#type, class, &normalised(text)] {
        hash.update(part.as_bytes());
        hash.update([0x1f]);
    }
    let digest = hash.finalize();
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The text with everything that differs from event to event replaced: what is quoted becomes `?`, and each word that holds
/// a digit (numbers, uuids, hashes, ids) becomes `#`.
fn normalised(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some((_, after)) = quoted(rest) {
            out.push('?');
            rest = after;
        } else if is_of_word(first) {
            let end = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
            let word = &rest[..end];
            out.push_str(if word.contains(|c: char| c.is_ascii_digit()) {
                "#"
            } else {
                word
            });
            rest = &rest[end..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// A quotation at the beginning of the text, and what follows it. An apostrophe within a word is none.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mark = text.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    let inside = &text[1..];
    let end = inside.find(mark)?;
    Some((&inside[..end], &inside[end + 1..]))
}

/// A hyphen holds a uuid together, a point a decimal.
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_event_to_event_makes_no_other_group() {
        let of = |text: &str| fingerprint("orders.placed", "handler", text);
        assert_eq!(of("order 17 is unknown"), of("order 4711 is unknown"));
        assert_eq!(
            of("no row 0190a8c1-7f3e-7cc0-8a5b-0a1b2c3d4e5f"),
            of("no row 0190a8c1-0000-7cc0-8a5b-ffffffffffff")
        );
        assert_eq!(
            of("no item \"table\" in stock"),
            of("no item \"a red chair\" in stock")
        );
        assert_eq!(of("bad token 9f86d081884c7d65"), of("bad token 4f1c2d3e"));
        assert_eq!(of("price 1.50 is below 2"), of("price 99.999 is below 3"));
    }

    #[test]
    fn another_type_class_or_text_is_another_group() {
        let one = fingerprint("orders.placed", "handler", "out of stock");
        assert_eq!(one.len(), 16);
        assert_ne!(one, fingerprint("orders.paid", "handler", "out of stock"));
        assert_ne!(one, fingerprint("orders.placed", "23505", "out of stock"));
        assert_ne!(one, fingerprint("orders.placed", "handler", "out of order"));
    }

    #[test]
    fn an_apostrophe_is_no_quotation_and_an_open_one_ends_nothing() {
        assert_eq!(
            normalised("it didn't answer, won't retry"),
            "it didn't answer, won't retry"
        );
        assert_eq!(normalised("unexpected \" at 7"), "unexpected \" at #");
        assert_eq!(normalised("größe 7 'ü'"), "größe # ?");
    }
}
