//! Nothing unfinished, nothing without a first line that says what it is, no promise that cannot be kept.

use std::io;

use crate::sources::below;

const FOLDERS: [&str; 6] = [
    "outbox-core",
    "relay/src",
    "migrations",
    "xtask/src",
    "tests",
    "examples",
];

/// Written in two halves, so that this file does not accuse itself.
fn unfinished() -> [String; 6] {
    [
        ("TO", "DO"),
        ("FIX", "ME"),
        ("#[igno", "re"),
        ("todo", "!("),
        ("unimplemented", "!("),
        ("#[all", "ow("),
    ]
    .map(|(head, tail)| format!("{head}{tail}"))
}

#[test]
fn nothing_is_unfinished_or_silenced() -> io::Result<()> {
    let words = unfinished();
    let mut wrong = Vec::new();
    for folder in FOLDERS {
        for source in below(folder, &[".rs", ".sql"])? {
            for (number, line) in source.text.lines().enumerate() {
                if let Some(word) = words.iter().find(|word| line.contains(word.as_str())) {
                    wrong.push(format!("{}:{} has {word}", source.path, number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Nobody can keep the promise of those two words alone: it must be said what is deduplicated, by what key, how long.
#[test]
fn exactly_once_is_never_promised() -> io::Result<()> {
    let words = ["exactly", "once"];
    let mut wrong = Vec::new();
    for source in below(".", &[".rs", ".sql", ".md", ".toml"])? {
        for (number, line) in source.text.lines().enumerate() {
            let line = line.to_lowercase();
            if line.contains(&words.join(" ")) || line.contains(&words.join("-")) {
                wrong.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn every_file_begins_with_what_it_is() -> io::Result<()> {
    let mut wrong = Vec::new();
    for folder in [
        "outbox-core/src",
        "relay/src",
        "migrations/src",
        "xtask/src",
        "tests",
    ] {
        for source in below(folder, &[".rs"])?.iter().filter(|source| {
            !["//! ", "#![doc"]
                .iter()
                .any(|head| source.text.starts_with(head))
                && !source.path.ends_with("/tests.rs")
        }) {
            wrong.push(source.path.clone());
        }
    }
    assert!(
        wrong.is_empty(),
        "without a first line that says what they are:\n{}",
        wrong.join("\n")
    );
    Ok(())
}

/// The compiler forbids it where a package takes the workspace's rules; the fuzzer's own package has none.
#[test]
fn every_package_takes_the_rule_that_forbids_unsafe_code() -> io::Result<()> {
    let manifests = below(".", &["Cargo.toml"])?;
    let root = manifests
        .iter()
        .find(|manifest| manifest.text.contains("[workspace.package]"));
    assert!(root.is_some_and(|root| root.text.contains("unsafe_code = \"forbid\"")));
    let lax: Vec<&str> = manifests
        .iter()
        .filter(|manifest| manifest.text.contains("[package]") && !manifest.path.contains("fuzz/"))
        .filter(|manifest| !manifest.text.contains("[lints]\nworkspace = true"))
        .map(|manifest| manifest.path.as_str())
        .collect();
    assert!(lax.is_empty(), "{lax:?}");
    Ok(())
}
