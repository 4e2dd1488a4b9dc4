//! What the pages say about the tree is so: links lead somewhere, named tests exist, metrics and views are described.

use std::collections::HashSet;
use std::io;

use crate::sources::{Source, below};

/// A link of a page: its text and its target.
struct Link<'a> {
    text: &'a str,
    target: &'a str,
}

/// The pages of the project.
fn pages() -> io::Result<Vec<Source>> {
    below(".", &[".md"])
}

fn page(path: &str) -> io::Result<String> {
    let found = pages()?.into_iter().find(|page| plain(&page.path) == path);
    found
        .map(|page| page.text)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, path.to_owned()))
}

/// The lines of a page outside its blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    })
}

fn links(line: &str) -> impl Iterator<Item = Link<'_>> {
    line.match_indices("](").filter_map(|(at, _)| {
        let text = &line[line[..at].rfind('[')? + 1..at];
        let rest = &line[at + 2..];
        let target = &rest[..rest.find(')')?];
        Some(Link { text, target })
    })
}

/// The path with `.` and `..` resolved, as `below` writes it.
fn plain(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// Where a link of the page at `from` leads: a path of the workspace and a heading. None for what is outside.
fn resolve(from: &str, target: &str) -> Option<(String, Option<String>)> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = match target.split_once('#') {
        Some((path, heading)) => (path, Some(heading.to_owned())),
        None => (target, None),
    };
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let path = if path.is_empty() {
        plain(from)
    } else {
        plain(&format!("{folder}/{path}"))
    };
    Some((path, heading))
}

/// A heading as an anchor, the way the forges make it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn every_link_leads_somewhere() -> io::Result<()> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut wrong = Vec::new();
    for source in pages()? {
        for link in prose(&source.text).flat_map(links) {
            let Some((path, heading)) = resolve(&source.path, link.target) else {
                continue;
            };
            if !root.join(&path).exists() {
                wrong.push(format!("{}: {} is not there", source.path, link.target));
            } else if let Some(heading) = heading
                && !std::fs::read_to_string(root.join(&path))?
                    .lines()
                    .any(|line| line.starts_with('#') && anchor(line) == heading)
            {
                wrong.push(format!("{}: {} has no such heading", source.path, link.target));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// A link whose text is a name in backticks, to a file of code, names a test in it.
#[test]
fn every_named_test_exists() -> io::Result<()> {
    let code: Vec<Source> = below(".", &[".rs"])?;
    let mut wrong = Vec::new();
    let mut named = 0;
    for source in pages()? {
        for link in prose(&source.text).flat_map(links) {
            let name = link
                .text
                .strip_prefix('`')
                .and_then(|text| text.strip_suffix('`'));
            let (Some(name), true) = (name, link.target.ends_with(".rs")) else {
                continue;
            };
            named += 1;
            let Some((path, _)) = resolve(&source.path, link.target) else {
                continue;
            };
            let exists = code
                .iter()
                .any(|file| plain(&file.path) == path && file.text.contains(&format!("fn {name}(")));
            if !exists {
                wrong.push(format!("{}: {path} has no {name}", source.path));
            }
        }
    }
    assert!(
        named > 40,
        "only {named} tests are named: the links have another form"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn every_guarantee_has_its_mechanism_its_limits_and_its_tests() -> io::Result<()> {
    let text = page("docs/guarantees.md")?;
    let guarantees: Vec<&str> = text
        .split("\n## ")
        .filter(|section| section.starts_with('G') && section[1..].starts_with(|c: char| c.is_ascii_digit()))
        .collect();
    assert_eq!(guarantees.len(), 12, "G1 to G12");
    for guarantee in guarantees {
        let name = guarantee.lines().next().unwrap_or_default();
        for part in ["**Mechanism.**", "**Limits.**", "**Tests.**"] {
            assert!(guarantee.contains(part), "{name} has no {part}");
        }
        let tests = guarantee.split("**Tests.**").nth(1).unwrap_or_default();
        assert!(tests.contains("[`"), "{name} names no test");
    }
    Ok(())
}

/// Fault, what happens, and what shows it: a test by name, or a reason why there is none.
#[test]
fn every_fault_has_an_answer() -> io::Result<()> {
    let text = page("docs/faults.md")?;
    let mut numbers = Vec::new();
    let mut wrong = Vec::new();
    for line in text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| |-"))
    {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let Ok(number) = cells[0].trim_matches(['|', ' ']).parse::<u32>() else {
            continue;
        };
        numbers.push(number);
        let shown = cells.last().copied().unwrap_or_default();
        let is_answered =
            shown.contains("[`") || shown.contains("cargo xtask") || cells[2].starts_with("Not built");
        if cells.len() != 4 || cells[2].is_empty() || !is_answered {
            wrong.push(line.to_owned());
        }
    }
    assert_eq!(numbers, (1..=55).collect::<Vec<_>>());
    assert!(wrong.is_empty(), "without an answer:\n{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn the_code_in_the_readme_is_the_code_that_is_compiled() -> io::Result<()> {
    let compiled = page("outbox-core/README.md")?;
    let compiled: HashSet<&str> = compiled
        .lines()
        .map(|line| line.trim_start_matches("# ").trim_end())
        .collect();
    let readme = page("README.md")?;
    let shown: Vec<&str> = readme
        .lines()
        .skip_while(|line| *line != "```rust")
        .skip(1)
        .take_while(|line| *line != "```")
        .collect();
    assert!(shown.len() > 25, "the code is not where it was");
    let other: Vec<&&str> = shown
        .iter()
        .filter(|line| !compiled.contains(line.trim_end()))
        .collect();
    assert!(other.is_empty(), "not in outbox-core/README.md: {other:#?}");
    Ok(())
}

#[test]
fn every_metric_in_use_is_described() -> io::Result<()> {
    let described = page("docs/operating.md")? + &page("docs/consuming.md")?;
    let mut code = below("outbox-core/src", &[".rs"])?;
    code.extend(below("relay/src", &[".rs"])?);
    let mut wrong = Vec::new();
    let mut metrics = 0;
    for (constant, name) in code.iter().flat_map(metric_constants) {
        let uses: usize = code
            .iter()
            .map(|source| source.code().filter(|(_, line)| line.contains(constant)).count())
            .sum();
        if uses < 2 {
            continue;
        }
        metrics += 1;
        if !described.contains(&format!("`{name}`")) {
            wrong.push(name);
        }
    }
    assert!(metrics > 20, "only {metrics} metrics were found");
    assert!(
        wrong.is_empty(),
        "in neither docs/operating.md nor docs/consuming.md: {wrong:?}"
    );
    Ok(())
}

/// The constants of a file that are names of metrics, with their values.
fn metric_constants(source: &Source) -> Vec<(&str, &str)> {
    let constants = source.code().filter_map(|(_, line)| {
        let (constant, rest) = line.trim().strip_prefix("pub const ")?.split_once(':')?;
        let name = rest.split('"').nth(1)?;
        name.starts_with("outbox_").then_some((constant, name))
    });
    constants.collect()
}

#[test]
fn every_column_of_the_views_is_described() -> io::Result<()> {
    let described = page("docs/sql.md")?;
    let mut wrong = Vec::new();
    let mut columns = 0;
    for source in below("migrations/sql", &[".sql"])? {
        for line in source.text.lines() {
            let Some(rest) = line.strip_prefix("comment on column outbox_ops.") else {
                continue;
            };
            let (view, column) = rest
                .split_once(' ')
                .and_then(|(name, _)| name.split_once('.'))
                .unwrap_or_default();
            columns += 1;
            let section = described
                .split("\n### ")
                .find(|section| section.starts_with(&format!("`outbox_ops.{view}`")))
                .unwrap_or_default();
            if !section.contains(&format!("`{column}`")) {
                wrong.push(format!("{view}.{column}"));
            }
        }
    }
    assert!(columns > 40, "only {columns} columns have a comment");
    assert!(wrong.is_empty(), "not in docs/sql.md: {}", wrong.join(", "));
    Ok(())
}

#[test]
fn every_page_is_linked_from_an_index() -> io::Result<()> {
    let mut linked = HashSet::new();
    for index in ["docs/README.md", "docs/decisions/README.md"] {
        let text = page(index)?;
        linked.extend(
            prose(&text)
                .flat_map(links)
                .filter_map(|link| resolve(index, link.target)),
        );
    }
    let linked: HashSet<String> = linked.into_iter().map(|(path, _)| path).collect();
    for source in below("docs", &[".md"])? {
        let path = plain(&source.path);
        assert!(
            linked.contains(&path) || path == "docs/README.md",
            "{path} is in no index"
        );
    }
    Ok(())
}
