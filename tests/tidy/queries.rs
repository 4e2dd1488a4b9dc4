//! One statement per file, each used by exactly one constant.

use std::io;

use crate::sources::below;

#[test]
fn every_query_is_used_by_exactly_one_constant() -> io::Result<()> {
    let code = below("outbox-core/src", &[".rs"])?;
    let mut wrong = Vec::new();
    for query in below("outbox-core/queries", &[".sql"])? {
        let name = query.path.trim_start_matches("outbox-core/");
        let uses = code
            .iter()
            .flat_map(|source| source.code())
            .filter(|(_, line)| line.contains("include_str!") && line.contains(&format!("/{name}\"")))
            .count();
        if uses != 1 {
            wrong.push(format!("{} is used {uses} times", query.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn a_query_is_one_statement() -> io::Result<()> {
    let mut wrong = Vec::new();
    for query in below("outbox-core/queries", &[".sql"])? {
        let statement: Vec<&str> = query
            .text
            .lines()
            .filter(|line| !line.trim_start().starts_with("--"))
            .collect();
        if statement.join("\n").trim().trim_end_matches(';').contains(';') {
            wrong.push(format!("{} is more than one statement", query.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
