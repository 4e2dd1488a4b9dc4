//! Pure: the name of a stream, `<category>-<id>`.

use std::fmt;
use std::str::FromStr;

/// No name of a stream is longer, in bytes.
const NAME_BYTES_MAX: usize = 400;
/// No category is longer, in bytes.
const CATEGORY_BYTES_MAX: usize = 100;

/// The name of a stream: its category, up to the first dash, and what tells it from the others of the category. It is also the key
/// of its events where they are published.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName {
    name: String,
    category_bytes: usize,
}

/// A text that is no name of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAStreamName {
    /// The rule that it breaks.
    pub rule: &'static str,
}

impl StreamName {
    /// The stream of this category with this id.
    ///
    /// # Errors
    /// As [`StreamName::from_str`]; also when the category has a dash, which would make it another one.
    pub fn new(category: &str, id: impl fmt::Display) -> Result<Self, NotAStreamName> {
        if category.contains('-') {
            return Err(NotAStreamName {
                rule: "the category must not have a dash: it ends where the first one is",
            });
        }
        format!("{category}-{id}").parse()
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// What is before the first dash.
    #[must_use]
    pub fn category(&self) -> &str {
        &self.name[..self.category_bytes]
    }

    /// What is behind the first dash.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.name[self.category_bytes + 1..]
    }
}

impl FromStr for StreamName {
    type Err = NotAStreamName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let refuse = |rule| Err(NotAStreamName { rule });
        if name.len() > NAME_BYTES_MAX {
            return refuse("must be at most 400 bytes");
        }
        let Some((category, id)) = name.split_once('-') else {
            return refuse("must be <category>-<id>: it has no dash");
        };
        let is_category = (1..=CATEGORY_BYTES_MAX).contains(&category.len())
            && category
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'));
        if !is_category {
            return refuse("must begin with a category: 1 to 100 of A-Z a-z 0-9 . _");
        }
        if id.is_empty() {
            return refuse("must have an id behind the first dash");
        }
        // As the database has it, whatever its locale: other spaces are letters of a name.
        if id.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return refuse("must have neither spaces nor control characters (of ASCII) in its id");
        }
        Ok(Self {
            name: name.to_owned(),
            category_bytes: category.len(),
        })
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)
    }
}

impl fmt::Display for NotAStreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no name of a stream: it {}", self.rule)
    }
}

impl std::error::Error for NotAStreamName {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_category_and_an_id() {
        let name: StreamName = "order-7-of-2026".parse().expect("a good name");
        assert_eq!((name.category(), name.id()), ("order", "7-of-2026"));
        assert_eq!(StreamName::new("order", "7-of-2026").expect("the same"), name);
        assert_eq!(
            StreamName::new("loyalty.points", "é/1").expect("any id").id(),
            "é/1"
        );
    }

    #[test]
    fn what_is_none_says_which_rule_it_breaks() {
        for (name, part) in [
            ("order", "no dash"),
            ("-7", "begin with a category"),
            ("or der-7", "begin with a category"),
            ("order-", "an id"),
            ("order-7 8", "spaces"),
            ("order-7\n", "spaces"),
        ] {
            let error = name.parse::<StreamName>().expect_err(name).to_string();
            assert!(error.contains(part), "{name:?}: {error}");
        }
        assert!(
            format!("order-{}", "7".repeat(395))
                .parse::<StreamName>()
                .is_err()
        );
        assert!(StreamName::new("my-order", 7).is_err());
    }
}
