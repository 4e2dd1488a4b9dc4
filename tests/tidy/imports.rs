//! Input and output live in files named after what they talk to.

use std::io;

use crate::sources::{Source, below};

/// A crate, and the names of files and folders that may name it.
const RULES: [(&str, &[&str]); 3] = [
    ("sqlx", &["pg"]),
    ("tokio_postgres", &["pg", "tokio_postgres"]),
    ("redis", &["redis"]),
];

/// What `error.rs` may name to wrap it.
const ERRORS: [&str; 3] = ["sqlx::Error", "tokio_postgres::Error", "redis::RedisError"];

/// Connections are carried, by their types, from who opens them to who talks through them.
const HANDLES: [&str; 3] = ["sqlx::PgPool", "sqlx::PgConnection", "redis::Client"];

#[test]
fn only_pg_names_postgres_and_only_redis_names_redis() -> io::Result<()> {
    let mut wrong = Vec::new();
    for source in below("outbox-core/src", &[".rs"])? {
        for (name, places) in RULES {
            if places.iter().any(|place| source.is_in(place))
                || (name == "redis" && has_module_redis(&source))
            {
                continue;
            }
            for (number, line) in source.code().filter(|(_, line)| names(line, name)) {
                let wraps = source.is_in("error") && ERRORS.iter().any(|error| line.contains(error));
                let carries = HANDLES.iter().any(|handle| line.contains(handle));
                if !wraps && !carries {
                    wrong.push(format!("{}:{number} names {name}: {}", source.path, line.trim()));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "move it to a file named {RULES:?}:\n{}",
        wrong.join("\n")
    );
    Ok(())
}

/// The crate's name at the beginning of a path, not in the middle of one of ours.
fn names(line: &str, name: &str) -> bool {
    let path = format!("{name}::");
    line.match_indices(&path).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':')
    })
}

/// A sibling module of ours has the crate's name, and the file speaks of that one.
fn has_module_redis(source: &Source) -> bool {
    source.code().any(|(_, line)| {
        let line = line.trim().trim_end_matches([';', ',']);
        line.ends_with("mod redis") || line.starts_with("use super::") && line.contains("redis")
    })
}

#[test]
fn the_rule_sees_a_crate_and_not_a_module_of_the_same_name() {
    assert!(names("use redis::aio::MultiplexedConnection;", "redis"));
    assert!(names("    url: &redis::Client,", "redis"));
    assert!(!names("use super::redis::Reader;", "redis"));
    assert!(!names("let rediss = my_redis::open();", "redis"));
}
