//! Pure: how long entries stay on streams, as it is said beside each: consumers remember what they applied for as long.

use std::collections::BTreeMap;

/// The row that holds for topics without one of their own.
const OTHERS: &str = "*";

/// How long entries stay, by topic.
#[derive(Clone, Debug, Default)]
pub(super) struct Retentions {
    seconds: BTreeMap<String, Option<u64>>,
}

impl Retentions {
    /// Seconds by topic, none for ever; `*` for the topics that are not named.
    pub(super) fn new(seconds: BTreeMap<String, Option<u64>>) -> Self {
        Self { seconds }
    }

    /// What the mark of the topic's streams says: seconds, 0 for ever.
    pub(super) fn of(&self, topic: &str) -> u64 {
        let own = self.seconds.get(topic).or_else(|| self.seconds.get(OTHERS));
        own.copied().flatten().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_its_own_or_that_of_all_others() {
        let told = [("*", Some(7)), ("kept", None), ("short", Some(1))];
        let retentions = Retentions::new(told.map(|(topic, seconds)| (topic.to_owned(), seconds)).into());
        assert_eq!(
            ["short", "kept", "other"].map(|topic| retentions.of(topic)),
            [1, 0, 7]
        );
        assert_eq!(
            Retentions::default().of("any"),
            0,
            "nothing is trimmed that is not known"
        );
    }
}
