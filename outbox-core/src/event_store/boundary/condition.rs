//! Pure: which events a decision is made on.

use serde::Serialize;

use crate::event_store::Error;

/// As 0030_boundary.sql has them.
const ITEMS_MAX: usize = 64;
const TAGS_MAX: usize = 32;
const TYPES_MAX: usize = 100;
const NAME_BYTES_MAX: usize = 200;

/// Events with all of some tags, of any of some types.
///
/// Its first tag is the one that is locked, and that events are looked for by: of several, begin with the one that the fewest events have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[must_use = "it says which events, and does nothing"]
pub struct Matching {
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    types: Option<Vec<String>>,
}

/// Which events a decision is made on: those that match one of its items at least. The same is read before the decision, and guarded
/// when it is appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
#[must_use = "it says which events, and does nothing"]
pub struct Condition {
    items: Vec<Matching>,
}

impl Matching {
    /// Events with this tag, whatever their types are.
    pub fn tag(tag: impl Into<String>) -> Self {
        Self {
            tags: vec![tag.into()],
            types: None,
        }
    }

    /// Only those that have this tag too; 32 at most.
    pub fn and_tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Only those of these types, 1 to 100.
    pub fn types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.types = Some(types.into_iter().map(Into::into).collect());
        self
    }
}

impl Condition {
    /// Events that match this.
    pub fn of(matching: Matching) -> Self {
        Self {
            items: vec![matching],
        }
    }

    /// And those that match this one; 64 at most. The condition and the events appended under it have 64 tags at most between
    /// them, the first ones of its items counted.
    pub fn or(mut self, matching: Matching) -> Self {
        self.items.push(matching);
        self
    }

    /// As the database takes it.
    pub(super) fn told(&self) -> Result<String, Error> {
        if self.items.len() > ITEMS_MAX {
            return refuse(format!("at most {ITEMS_MAX} items, got {}", self.items.len()));
        }
        for item in &self.items {
            if item.tags.len() > TAGS_MAX {
                return refuse(format!(
                    "at most {TAGS_MAX} tags in an item, got {}",
                    item.tags.len()
                ));
            }
            let types = item.types.as_deref();
            if types.is_some_and(|types| !(1..=TYPES_MAX).contains(&types.len())) {
                return refuse(format!(
                    "1 to {TYPES_MAX} types in an item, got {}",
                    types.map_or(0, <[_]>::len)
                ));
            }
            let mut names = item.tags.iter().chain(types.unwrap_or_default());
            if names.any(|name| name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\0')) {
                return refuse(format!(
                    "tags and types of 1 to {NAME_BYTES_MAX} bytes without a NUL"
                ));
            }
        }
        Ok(serde_json::to_string(self).expect("texts have a JSON form"))
    }
}

fn refuse<T>(rule: String) -> Result<T, Error> {
    Err(Error::refused(format!("a condition has {rule}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_as_items_of_tags_and_types() {
        let condition = Condition::of(
            Matching::tag("course:1")
                .and_tag("term:2")
                .types(["course.defined"]),
        )
        .or(Matching::tag("student:\"7\""));
        assert_eq!(
            condition.told().expect("allowed"),
            r#"[{"tags":["course:1","term:2"],"types":["course.defined"]},{"tags":["student:\"7\""]}]"#
        );
    }

    #[test]
    fn what_the_database_would_refuse_is_refused_before() {
        let many = |count: usize| (0..count).map(|n| format!("t{n}"));
        let tags = |count| many(count).fold(Matching::tag("t"), Matching::and_tag);
        let items = |count| {
            many(count).fold(Condition::of(Matching::tag("t")), |condition, tag| {
                condition.or(Matching::tag(tag))
            })
        };
        for allowed in [
            Condition::of(tags(31)),
            items(63),
            Condition::of(Matching::tag("x".repeat(200)).types(many(100))),
        ] {
            assert!(allowed.told().is_ok(), "{allowed:?}");
        }
        for refused in [
            Condition::of(tags(32)),
            items(64),
            Condition::of(Matching::tag("")),
            Condition::of(Matching::tag("x".repeat(201))),
            Condition::of(Matching::tag("a\0")),
            Condition::of(Matching::tag("a").types(many(101))),
            Condition::of(Matching::tag("a").types(many(0))),
            Condition::of(Matching::tag("a").types([""])),
        ] {
            assert!(refused.told().is_err(), "{refused:?}");
        }
    }
}
