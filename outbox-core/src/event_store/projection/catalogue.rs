//! Pure: the names of a projection's schemas, and names as SQL takes them.

/// Names that are somebody else's.
const TAKEN: [&str; 4] = ["outbox", "outbox_ops", "public", "information_schema"];

/// The schema that a projection is built anew in.
pub(super) fn next_schema(name: &str) -> String {
    format!("{name}_next")
}

/// The schema that was live, while it is replaced.
pub(super) fn old_schema(name: &str) -> String {
    format!("{name}_old")
}

/// A name between quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Why a projection cannot have this name.
pub(super) fn name_problem(name: &str) -> Option<String> {
    let is_fit = (1..=50).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    // Another projection is built anew there, or replaced.
    let is_between = name.ends_with("_next") || name.ends_with("_old");
    if is_fit && !is_between && !name.starts_with("pg_") && !TAKEN.contains(&name) {
        return None;
    }
    Some(
        "name: a projection has a schema of its name: 1 to 50 of a-z 0-9 _, beginning with a letter, not ending with _next or _old, and not taken"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_a_schema_can_have() {
        assert_eq!(name_problem("loyalty_points"), None);
        for name in [
            "",
            "Points",
            "1st",
            "pg_points",
            "public",
            "a.b",
            "points_next",
            "points_old",
        ] {
            assert!(name_problem(name).is_some(), "{name}");
        }
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}
